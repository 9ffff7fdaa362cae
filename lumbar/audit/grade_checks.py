"""Checks of the grades and of the folds made from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lumbar.anatomy import GRADES, TARGETS
from lumbar.audit.findings import Finding, judge
from lumbar.audit.inputs import Inputs


def grades_are_known(inputs: Inputs) -> Iterator[Finding]:
    """Look for grades that nobody knows, and studies graded twice."""
    train = inputs["train"]
    cells = train.melt("study_id", list(TARGETS))["value"].dropna()
    unknown = set(map(str, cells[~cells.isin(GRADES)]))
    text = f"expected {', '.join(GRADES)} or nothing"
    yield judge("grades are known", sorted(unknown), len(cells), text, error_above=0)
    twice = train.loc[train["study_id"].duplicated(), "study_id"]
    yield judge("train.csv has one row per study", twice, len(train), "more than one row", error_above=0)


def studies_have_grades(inputs: Inputs) -> Iterator[Finding]:
    """Look for studies without any grade."""
    train = inputs["train"]
    bare = train.loc[train[list(TARGETS)].isna().all(axis=1), "study_id"]
    yield judge(
        "studies have grades",
        bare,
        len(train),
        "without any grade; the localisers can use them, the classifiers cannot",
        error_above=1,
    )


def folds_are_whole_patients(inputs: Inputs) -> Iterator[Finding]:
    """Look for studies in two folds, and for series without a fold."""
    folds = inputs["folds"]
    split = folds.groupby("study_id")["fold"].nunique()
    yield judge(
        "a patient is in one fold",
        split.index[split > 1],
        len(split),
        "in more than one fold: make_folds.py makes whole ones",
        error_above=0,
    )
    series = inputs["series"] if "series" in inputs.tables else folds
    stray = series.loc[~series["series_id"].isin(folds["series_id"]), "series_id"]
    yield judge("series have a fold", stray, len(series), "without one; run scripts/make_folds.py again")


CHECKS: Final = (grades_are_known, studies_have_grades, folds_are_whole_patients)
