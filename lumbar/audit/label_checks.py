"""Checks of what humans said, grades and coordinates, and of the folds: known, complete, at the right place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from lumbar.anatomy import GRADES, LEVELS, NFN, PARTS, SAGITTAL_T1, SAGITTAL_T2, SCS, SERIES_TYPES, SS, TARGETS
from lumbar.audit.findings import Exhibit, Finding, judge, note
from lumbar.audit.inputs import Inputs, records
from lumbar.html.pictures import Mark
from lumbar.labels.sagittal_labels import CANAL_BEHIND, FORAMEN_ABOVE, MAX_DISTANCE
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
    yield judge("labels have their slice", _names(labels[~slices]), len(labels), "labels on slices that are not there")


def labels_are_on_their_type(inputs: Inputs) -> Iterator[Finding]:
    """Look for conditions marked on a series type that does not show them, or in another study's series."""
    rows = inputs.labels.merge(inputs["series"].drop_duplicates("series_id"), on="series_id", suffixes=("", "_listed"))
    wrong = rows[rows["series_description"] != rows["part"].map(TYPE_OF_PART)]
    yield judge("labels are on the right type of series", _names(wrong), len(rows), "marked on another type of series")
    stray = rows[rows["study_id"] != rows["study_id_listed"]]
    yield judge("labels name their series' study", _names(stray), len(rows), "the series is another study's")


def points_are_complete(inputs: Inputs) -> Iterator[Finding]:
    """Look for targets marked twice, and for series with fewer than five levels of a condition."""
    labels = inputs.labels
    twice = labels[labels.duplicated(["study_id", "condition", "level"])]
    yield note("targets are marked once", _names(twice), len(labels), "marked again")
    levels = labels.groupby(["series_id", "condition"])["level"].nunique().reset_index()
    for part in PARTS:
        marked = levels[levels["condition"].isin(labels.loc[labels["part"] == part, "condition"])]
        few = [f"{row.series_id} ({row.level})" for row in records(marked[marked["level"] < len(LEVELS)])]
        yield note(
            f"{part.upper()} points at five levels", few, len(marked), "series and sides with fewer points (how many)"
        )


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


def foramina_on_two_slices(inputs: Inputs) -> Iterator[Finding]:
    """Look for left and right foramina of a level on one sagittal slice: scoliosis, or a mistake."""
    pairs = _pairs(inputs.labels, NFN)
    shared = pairs[pairs["instance_number"] == pairs["instance_number_right"]]
    yield judge(
        "left and right foramina on two slices",
        _names(shared),
        len(pairs),
        "on one slice (a curved spine, or a slip)",
        mildest="info",
        error_above=0.5,
        exhibits=_pair_exhibits(shared),
    )


def labels_are_inside(inputs: Inputs) -> Iterator[Finding]:
    """Look for labels outside their image."""
    rows = inputs.placed_labels
    inside = rows["x"].between(0, rows["img_w"]) & rows["y"].between(0, rows["img_h"])
    outside = rows[~inside]
    exhibits = [_exhibit(row, (_mark(row),), f" at ({row.x:.0f}, {row.y:.0f})") for row in records(outside)]
    yield judge("labels lie inside their image", _names(outside), len(rows), "outside", exhibits=exhibits)


def left_is_left(inputs: Inputs) -> Iterator[Finding]:
    """Look for left points that lie to the patient's right of their right counterparts."""
    for part in (NFN, SS):
        pairs = _pairs(inputs.placed_labels, part).dropna(subset=["towards_left", "towards_left_right"])
        if part == NFN:
            pairs = pairs[pairs["instance_number"] != pairs["instance_number_right"]]
        swapped = pairs[pairs["towards_left"] < pairs["towards_left_right"]]
        yield judge(
            f"{part.upper()} left is on the patient's left",
            _names(swapped),
            len(pairs),
            "left and right are swapped",
            exhibits=_pair_exhibits(swapped),
        )


def labels_are_near_stage1(inputs: Inputs) -> Iterator[Finding]:
    """Look for canal and foramen points far from the stage-1 level point of their slice, usual offsets undone."""
    rows = inputs.placed_labels
    stage1 = inputs["stage1"][[*SLICE, "level", "x", "y"]]
    for part in (SCS, NFN):
        both = rows[rows["part"] == part].merge(stage1, on=[*SLICE, "level"], suffixes=("", "_stage1"))
        across = (both["x"] - both["x_stage1"]) / both["img_w"] - CANAL_BEHIND * (part == SCS)
        down = (both["y"] - both["y_stage1"]) / both["img_h"] + FORAMEN_ABOVE * (part == NFN)
        far = both[np.hypot(across, down) > MAX_DISTANCE]
        exhibits = [_exhibit(row, (_mark(row), Mark(row.x_stage1, row.y_stage1, "stage1")), "") for row in records(far)]
        yield judge(
            f"{part.upper()} points lie near the stage-1 points",
            _names(far),
            len(both),
            f"over {MAX_DISTANCE:.0%} of the image away",
            error_above=0.2,
            exhibits=exhibits,
        )


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


def _pairs(labels: pd.DataFrame, part: str) -> pd.DataFrame:
    """Pair the left with the right point of a level where both are on one series; the right's columns end in _right."""
    points = labels[labels["part"] == part]
    keys = ["study_id", "series_id", "level"]
    return points[points["side"] == "left"].merge(points[points["side"] == "right"], on=keys, suffixes=("", "_right"))


def _pair_exhibits(pairs: pd.DataFrame) -> list[Exhibit]:
    """Show both points of each pair on the slice of the left one."""
    exhibits = []
    for row in records(pairs):
        note = (
            "" if row.instance_number == row.instance_number_right else f"; right on slice {row.instance_number_right}"
        )
        marks = (_mark(row), Mark(row.x_right, row.y_right, "right"))
        exhibits.append(_exhibit(row, marks, note))
    return exhibits


def _mark(row: Any) -> Mark:
    return Mark(row.x, row.y, row.side)


def _exhibit(row: Any, marks: Sequence[Mark], note: str) -> Exhibit:
    study, series, instance = row.study_id, row.series_id, row.instance_number
    return Exhibit(int(study), int(series), int(instance), _target(row) + note, tuple(marks))


def _names(rows: pd.DataFrame) -> list[str]:
    return [f"{row.study_id}/{row.series_id}/{row.instance_number} {_target(row)}" for row in records(rows)]


def _target(row: Any) -> str:
    """Write a target briefly: ``left NFN L4/L5``, ``SCS L1/L2``."""
    side = "" if row.side == "canal" else f"{row.side} "
    return f"{side}{row.part.upper()} {row.level.upper().replace('_', '/')}"


CHECKS: Final = (
    grades_are_known,
    studies_have_grades,
    folds_are_whole_patients,
    labels_have_slices,
    labels_are_on_their_type,
    points_are_complete,
    grades_and_points_agree,
    foramina_on_two_slices,
    labels_are_inside,
    left_is_left,
    series_have_stage1,
    labels_are_near_stage1,
)
