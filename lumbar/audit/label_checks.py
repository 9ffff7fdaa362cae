"""Checks of what humans said, grades and coordinates, and of the folds: known and complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pandas as pd

from lumbar.anatomy import GRADES, LEVELS, PARTS, SAGITTAL_T1, SAGITTAL_T2, SERIES_TYPES, SS, TARGETS
from lumbar.audit.findings import Finding, judge, note
from lumbar.audit.inputs import Inputs, label_names, records
from lumbar.tables import SLICE

TYPE_OF_PART: Final = dict(zip(PARTS, SERIES_TYPES, strict=True))
"""Series type on which each condition group is marked."""


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


def labels_have_slices(inputs: Inputs) -> Iterator[Finding]:
    """Look for orphans: labels of a series or slice that is not there."""
    labels, files = inputs.labels, inputs.files["train"]
    series = labels["series_id"].isin(files["series_id"])
    yield judge(
        "labels have their series",
        labels.loc[~series, "series_id"].unique(),
        labels["series_id"].nunique(),
        "series that are not there",
    )
    labels = labels[series]
    slices = pd.MultiIndex.from_frame(labels[SLICE]).isin(pd.MultiIndex.from_frame(files[SLICE]))
    yield judge(
        "labels have their slice", label_names(labels[~slices]), len(labels), "labels on slices that are not there"
    )


def labels_are_on_their_type(inputs: Inputs) -> Iterator[Finding]:
    """Look for conditions marked on a series type that does not show them, or in another study's series."""
    rows = inputs.labels.merge(inputs["series"].drop_duplicates("series_id"), on="series_id", suffixes=("", "_listed"))
    wrong = rows[rows["series_description"] != rows["part"].map(TYPE_OF_PART)]
    yield judge(
        "labels are on the right type of series", label_names(wrong), len(rows), "marked on another type of series"
    )
    stray = rows[rows["study_id"] != rows["study_id_listed"]]
    yield judge("labels name their series' study", label_names(stray), len(rows), "the series is another study's")


def points_are_complete(inputs: Inputs) -> Iterator[Finding]:
    """Look for targets marked twice, and for series with fewer than five levels of a condition.

    Subarticular points count per study: they stand on several axial series where one does not reach all levels.
    """
    labels = inputs.labels
    twice = labels[labels.duplicated(["study_id", "condition", "level"])]
    yield note("targets are marked once", label_names(twice), len(labels), "marked again")
    for part in PARTS:
        whole = "study" if part == SS else "series"
        points = labels[labels["part"] == part]
        levels = points.groupby([f"{whole}_id", "side"])["level"].nunique().reset_index(name="levels")
        few = [f"{row[1]} {row.side} ({row.levels})" for row in records(levels[levels["levels"] < len(LEVELS)])]
        text = f"{'studies' if part == SS else 'series'} and sides with fewer points (how many)"
        yield note(f"{part.upper()} points at five levels", few, len(levels), text)
    axial = labels[labels["part"] == SS].groupby("study_id")["series_id"].nunique()
    text = "studies with points on several"
    yield note("SS points stand on one axial series", axial.index[axial > 1], len(axial), text)


def grades_and_points_agree(inputs: Inputs) -> Iterator[Finding]:
    """Look for graded targets without a point, and for points without a grade."""
    labels = inputs.labels
    cells = inputs["train"].melt("study_id", list(TARGETS))
    graded = set(cells.loc[cells["value"].isin(GRADES), ["study_id", "variable"]].itertuples(index=False, name=None))
    if not graded:
        return
    marked = set(zip(labels["study_id"], labels["condition"] + "_" + labels["level"], strict=True))
    for name, cases, total, text in (
        ("graded targets have a point", graded - marked, graded, "graded, but not marked"),
        ("points have a grade", marked - graded, marked, "marked, but not graded"),
    ):
        named = [f"{study} {target}" for study, target in sorted(cases)]
        yield note(name, named, len(total), text)


def series_have_stage1(inputs: Inputs) -> Iterator[Finding]:
    """Look for sagittal series that the sagittal localiser cannot learn from."""
    series = inputs["series"]
    sagittal = series.loc[series["series_description"].isin([SAGITTAL_T1, SAGITTAL_T2]), "series_id"]
    without = sagittal[~sagittal.isin(inputs["stage1"]["series_id"])]
    yield judge(
        "sagittal series have stage-1 points",
        without,
        len(sagittal),
        "without; part 2 of the labels says why",
        error_above=0.5,
    )


CHECKS: Final = (
    grades_are_known,
    studies_have_grades,
    folds_are_whole_patients,
    labels_have_slices,
    labels_are_on_their_type,
    points_are_complete,
    grades_and_points_agree,
    series_have_stage1,
)
