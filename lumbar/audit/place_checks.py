"""Checks of where human points lie: inside their images, at their level, on their side, where crops can be cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from lumbar.anatomy import CONDITION_PARTS, GRADES, NFN, SCS, SS, TARGETS
from lumbar.audit.findings import Exhibit, Finding, judge
from lumbar.audit.inputs import Inputs, label_names, records, target_name, without
from lumbar.audit.label_checks import TYPE_OF_PART
from lumbar.html.pictures import Mark
from lumbar.images.slices import SliceIndex
from lumbar.items.axial_crops import FURTHEST, closest_slices, level_gaps
from lumbar.labels.misplaced import IN_CORNER, OUTSIDE
from lumbar.labels.sagittal_labels import CANAL_BEHIND, FORAMEN_ABOVE, MAX_DISTANCE
from lumbar.localise.axial_mapping import map_levels
from lumbar.tables import SLICE

SLICES_APART: Final = 4
"""From this many slices between the left and the right recess of a level on, one of them is at another level."""


def labels_have_prepared_slices(inputs: Inputs) -> Iterator[Finding]:
    """Look for labels on slices that preparation left out, scouts among them, and which nothing learns from."""
    lost = without(without(inputs.labels, inputs["meta"]), without(inputs.labels, inputs.files["train"]))
    text = "on slices without metadata (left out, or not prepared)"
    yield judge("labels lie on prepared slices", label_names(lost), len(inputs.labels), text)


def foramina_on_two_slices(inputs: Inputs) -> Iterator[Finding]:
    """Look for left and right foramina of a level on one sagittal slice: scoliosis, or a mistake."""
    pairs = _pairs(inputs.labels, NFN)
    shared = pairs[pairs["instance_number"] == pairs["instance_number_right"]]
    yield judge(
        "left and right foramina on two slices",
        label_names(shared),
        len(pairs),
        "on one slice (a curved spine, or a slip)",
        mildest="info",
        error_above=0.5,
        exhibits=_pair_exhibits(shared),
    )


def recesses_on_one_slice(inputs: Inputs) -> Iterator[Finding]:
    """Look for left and right recesses of a level that are many axial slices apart."""
    pairs = _pairs(inputs.labels, SS)
    slices = SliceIndex(inputs["meta"][inputs["meta"]["series_id"].isin(pairs["series_id"])])
    place = slices.along_stacks()[2]
    rows = [slices.find(pairs["series_id"], pairs[f"instance_number{side}"]) for side in ("", "_right")]
    there = (rows[0] >= 0) & (rows[1] >= 0)
    pairs, (left, right) = pairs[there], (row[there] for row in rows)
    far = pairs[np.abs(place[left] - place[right]) >= SLICES_APART]
    text = f"{SLICES_APART} or more slices apart"
    exhibits = _pair_exhibits(far)
    yield judge("left and right recesses on near slices", label_names(far), len(pairs), text, exhibits=exhibits)


def labels_are_plausible(inputs: Inputs) -> Iterator[Finding]:
    """Look for labels that cannot be right by where they lie in their image and in their series."""
    rows = inputs.placed_labels
    reasons = rows["misplaced"]
    for title, chosen, text in (
        ("labels lie inside their image", reasons == OUTSIDE, "outside"),
        ("labels keep clear of the corners", reasons == IN_CORNER, f"{IN_CORNER}; no network learns them"),
        ("points follow the levels of their series", ~reasons.isin(["", OUTSIDE, IN_CORNER]),
         "far from where the other levels have them; left out of the stage-1 labels"),
    ):  # fmt: skip
        found = rows[chosen]
        exhibits = [_exhibit(row, (_mark(row),), f" at ({row.x:.0f}, {row.y:.0f})") for row in records(found)]
        yield judge(title, label_names(found), len(rows), text, exhibits=exhibits)


def levels_descend(inputs: Inputs) -> Iterator[Finding]:
    """Look for points that do not lie below those of the level above, on the same series and side."""
    rows = inputs.placed_labels.dropna(subset="towards_head")
    rows = rows[rows["misplaced"] == ""].sort_values(["series_id", "condition", "level"])
    above = rows.groupby(["series_id", "condition"])[["level", "towards_head"]].shift()
    known = above["level"].notna() & (above["level"] != rows["level"])
    wrong = rows[known & (rows["towards_head"] >= above["towards_head"])]
    exhibits = [_exhibit(row, (_mark(row),), "") for row in records(wrong)]
    text = "not below the next level above (on axial slices: out of order along the stack)"
    yield judge("levels follow each other downwards", label_names(wrong), int(known.sum()), text, exhibits=exhibits)


def left_is_left(inputs: Inputs) -> Iterator[Finding]:
    """Look for left points that lie to the patient's right of their right counterparts."""
    for part in (NFN, SS):
        pairs = _pairs(inputs.placed_labels, part).dropna(subset=["towards_left", "towards_left_right"])
        if part == NFN:
            pairs = pairs[pairs["instance_number"] != pairs["instance_number_right"]]
        swapped = pairs[pairs["towards_left"] < pairs["towards_left_right"]]
        yield judge(
            f"{part.upper()} left is on the patient's left",
            label_names(swapped),
            len(pairs),
            "left and right are swapped",
            exhibits=_pair_exhibits(swapped),
        )


def labels_are_near_stage1(inputs: Inputs) -> Iterator[Finding]:
    """Look for canal and foramen points far from the stage-1 level point of their slice, usual offsets undone."""
    rows = inputs.placed_labels
    stage1 = inputs["stage1"]
    own = "source" in stage1 and (stage1["source"] == "coordinates").all()
    for part in (SCS, NFN):
        title = f"{part.upper()} points lie near the stage-1 points"
        if own:
            yield Finding("info", title, "not compared: the stage-1 points were made of these (--source coordinates)")
            continue
        columns = [*SLICE, "level", "x", "y"]
        both = rows[rows["part"] == part].merge(stage1[columns], on=columns[:3], suffixes=("", "_stage1"))
        across = (both["x"] - both["x_stage1"]) / both["img_w"] - CANAL_BEHIND * (part == SCS)
        down = (both["y"] - both["y_stage1"]) / both["img_h"] + FORAMEN_ABOVE * (part == NFN)
        far = both[np.hypot(across, down) > MAX_DISTANCE]
        exhibits = [_exhibit(row, (_mark(row), Mark(row.x_stage1, row.y_stage1, "stage1")), "") for row in records(far)]
        text = f"over {MAX_DISTANCE:.0%} of the image away"
        yield judge(title, label_names(far), len(both), text, error_above=0.2, exhibits=exhibits)


def studies_get_sagittal_crops(inputs: Inputs) -> Iterator[Finding]:
    """Look for graded studies without a slice of the sagittal series on which the grades show."""
    for part in (NFN, SCS):
        text = f"graded, but without a slice of {TYPE_OF_PART[part]}"
        yield _without_crops(inputs, part, _present(inputs, part)["study_id"], text)


def studies_get_axial_crops(inputs: Inputs) -> Iterator[Finding]:
    """Look for graded studies of whose axial series none is cut: level points must reach two levels in a row.

    The level points are the stage-1 points on the slices that humans marked; studies without any are not judged.
    """
    stage1, meta = inputs["stage1"], inputs["meta"]
    marks = inputs.placed_labels
    marked = marks.loc[marks["part"].isin([NFN, SCS]), SLICE].drop_duplicates().assign(left_nfn=1.0, right_nfn=1.0)
    mapping = map_levels(marked, stage1, meta, inputs["series"].drop_duplicates("series_id"))
    axial = _present(inputs, SS)
    slices = SliceIndex(meta[meta["series_id"].isin(axial["series_id"])])
    cut = ~np.isnan(closest_slices(mapping, slices)).all(axis=1) & ~np.isnan(level_gaps(mapping, slices))
    judged = axial["series_id"].isin(mapping["series_id"])
    cropped = axial.loc[axial["series_id"].isin(slices.series[cut]) | ~judged, "study_id"]
    text = f"graded, but on no axial series two levels in a row are within {FURTHEST:g} mm of a slice"
    yield _without_crops(inputs, SS, cropped, text)


def _present(inputs: Inputs, part: str) -> pd.DataFrame:
    """Select the series with a slice on which a condition group is marked."""
    series = inputs["series"].drop_duplicates("series_id")
    wanted = series["series_description"] == TYPE_OF_PART[part]
    return series[wanted & series["series_id"].isin(inputs["meta"]["series_id"])]


def _without_crops(inputs: Inputs, part: str, cropped: pd.Series, text: str) -> Finding:
    columns = [target for target in TARGETS if CONDITION_PARTS[target.rsplit("_", 2)[0]] == part]
    train = inputs["train"]
    graded = train.loc[train[columns].isin(GRADES).any(axis=1), "study_id"]
    title = f"studies get crops for {part.upper()}"
    return judge(title, graded[~graded.isin(cropped)], len(graded), text, error_above=0.5)


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
    return Exhibit(int(study), int(series), int(instance), target_name(row) + note, tuple(marks))


CHECKS: Final = (
    labels_have_prepared_slices,
    foramina_on_two_slices,
    recesses_on_one_slice,
    labels_are_plausible,
    levels_descend,
    left_is_left,
    labels_are_near_stage1,
    studies_get_sagittal_crops,
    studies_get_axial_crops,
)
