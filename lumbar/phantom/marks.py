"""Where things lie in the slices: exactly (``truth.csv``), and as people marked them.

The level point between two vertebrae is 0.7 x the upper one's posterior-bottom corner + 0.3 x the lower one's
posterior-top corner, in the pixels of the slice, as the preparation scripts compute it from SpineNet's outlines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from lumbar.anatomy import (
    AXIAL_T2,
    CONDITION_PARTS,
    CONDITIONS,
    LEVEL_LABELS,
    LEVELS,
    MISSING,
    NFN,
    SAGITTAL_T1,
    SAGITTAL_T2,
    SCS,
    SS,
    VERTEBRAE,
    condition_title,
)
from lumbar.images.geometry import SlicePlane, Vector
from lumbar.phantom.patient import Patient
from lumbar.phantom.plan import PlannedSlice, SeriesPlan, level_centre

UPPER_SHARE: Final = 0.7
"""Weight of the upper vertebra's corner in a level point (published)."""

KIND_OF_PART: Final = {NFN: SAGITTAL_T1, SCS: SAGITTAL_T2, SS: AXIAL_T2}
"""Series type on which a condition group is marked."""

JITTER_MM: Final = {NFN: 1.8, SCS: 1.5, SS: 1.3}
"""Standard deviation per axis of a person's mark around the true centre."""

NEIGHBOUR_SLICE_SHARE: Final = {NFN: 0.2, SCS: 0.1, SS: 0.15}
"""How often a person marks the slice beside the nearest one."""

UNMARKED_SHARE: Final = 0.03
"""Share of graded targets whose mark is missing."""


@dataclass(frozen=True, eq=False)
class Study:
    """One study of the phantom: the patient, and the series as planned.

    Parameters
    ----------
    study_id : int
        Kaggle's number.
    patient : Patient
        Anatomy, patient coordinates with L3 near the origin.
    series : tuple of SeriesPlan
        In the order of their numbers.
    table_offset : ndarray, shape (3,)
        Scanner coordinates of the patient's origin, mm: what headers and ``truth.csv`` add to patient coordinates.
    """

    study_id: int
    patient: Patient
    series: tuple[SeriesPlan, ...]
    table_offset: Vector

    @property
    def sagittal(self) -> list[SeriesPlan]:
        """The sagittal series."""
        return [series for series in self.series if series.kind != AXIAL_T2]

    @cached_property
    def outlines(self) -> dict[int, list[dict[str, Vector]]]:
        """Outlines per sagittal series and slice; series that share their planes share the work."""
        planes = {id(planned.plane): planned.plane for series in self.sagittal for planned in series.slices}
        found = dict(zip(planes, outline(self.patient, list(planes.values())), strict=True))
        return {series.series_id: [found[id(each.plane)] for each in series.slices] for series in self.sagittal}


def outline(patient: Patient, planes: Sequence[SlicePlane]) -> list[dict[str, Vector]]:
    """Find the corners of the vertebral bodies in sagittal slices that may be oblique.

    Parameters
    ----------
    patient : Patient
        The patient.
    planes : sequence of SlicePlane
        The slices.

    Returns
    -------
    list of dict
        Per slice: by vertebra (one of `lumbar.anatomy.VERTEBRAE`), where the slice meets its body, an array of shape
        (4, 2) in pixels: posterior-top, posterior-bottom, anterior-bottom, anterior-top.
    """
    found: list[dict[str, Vector]] = [{} for _ in planes]
    for vertebra, level in zip(VERTEBRAE, (LEVELS[0], LEVELS[0], *LEVELS, LEVELS[-1], LEVELS[-1]), strict=True):
        x = float(level_centre(patient, level)[0])
        middle = patient.vertebra_corners(vertebra, x)
        if middle is None:
            continue
        for plane, outlines in zip(planes, found, strict=True):
            # The slice's x at the height and depth of the body.
            corners = patient.vertebra_corners(
                vertebra, float(x - plane.distance(middle.mean(axis=0)) / plane.normal[0])
            )
            if corners is not None:
                outlines[vertebra] = plane.to_pixels(corners)
    return found


def level_points(outlines: Mapping[str, Vector]) -> dict[str, Vector]:
    """Compute the level points (x, y in pixels) of the levels whose two vertebrae a sagittal slice meets."""
    return {
        level: UPPER_SHARE * outlines[upper][1] + (1 - UPPER_SHARE) * outlines[lower][0]
        for level, upper, lower in zip(LEVELS, VERTEBRAE[2:7], VERTEBRAE[3:8], strict=True)
        if upper in outlines and lower in outlines
    }


def centres(patient: Patient, level: str) -> dict[str, Vector]:
    """Return the centres (mm) of a level's canal, foramina and lateral recesses, by structure name."""
    return {
        "canal": patient.canal_centre(level),
        "left_foramen": patient.foramen_centre(level, "left"),
        "right_foramen": patient.foramen_centre(level, "right"),
        "left_recess": patient.recess_centre(level, "left"),
        "right_recess": patient.recess_centre(level, "right"),
    }


def truth_rows(study: Study) -> Iterator[dict[str, Any]]:
    """List the exact positions in every series of a study: the rows of ``truth.csv``.

    Level points stand on every sagittal slice that meets both vertebrae and on the axial slice nearest to the
    level point in the mid-line; the other centres on the slice of each series that is nearest to them.
    """
    for series in study.series:
        for planned, outlines in zip(series.slices, study.outlines.get(series.series_id, ()), strict=False):
            for level, xy in level_points(outlines).items():
                if planned.contains(xy):
                    yield _truth(study, series, planned, level, "level", xy, planned.plane.to_patient(xy))
        for level in LEVELS:
            points = centres(study.patient, level)
            if series.kind == AXIAL_T2:
                points = {"level": level_centre(study.patient, level), **points}
            for structure, point in points.items():
                found = series.find(point)
                if found is not None:
                    yield _truth(study, series, found, level, structure, found.plane.to_pixels(point), point)


def _truth(
    study: Study, series: SeriesPlan, planned: PlannedSlice, level: str, structure: str, xy: Vector, point: Vector
) -> dict[str, Any]:
    x, y = np.round(xy, 3).tolist()
    mm_x, mm_y, mm_z = np.round(point + study.table_offset, 3).tolist()
    rows, columns = planned.shape
    return {
        "study_id": study.study_id, "series_id": series.series_id, "instance_number": planned.instance_number,
        "level": level, "x": x, "y": y, "img_h": rows, "img_w": columns,
        "structure": structure, "mm_x": mm_x, "mm_y": mm_y, "mm_z": mm_z,
    }  # fmt: skip


def coordinate_rows(study: Study, labels: Mapping[str, int], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Mark the graded targets as people did: the rows of ``train_label_coordinates.csv``.

    Parameters
    ----------
    study : Study
        The study.
    labels : mapping of str to int
        Grade, or `MISSING`, of the 25 targets.
    rng : Generator
        The readers' hands.
    """
    for condition in CONDITIONS:
        part = CONDITION_PARTS[condition]
        candidates = [series for series in study.series if series.kind == KIND_OF_PART[part]]
        for level, label in zip(LEVELS, LEVEL_LABELS, strict=True):
            shake, beside, unmarked = rng.normal(0, JITTER_MM[part], 2), rng.random(), rng.random() < UNMARKED_SHARE
            if unmarked or not candidates or labels[f"{condition}_{level}"] == MISSING:
                continue
            target, seen = _target(study.patient, condition, level)
            series = candidates[int(np.argmin([each.nearest(seen)[1] for each in candidates]))]
            planned = _chosen_slice(series, seen, beside, NEIGHBOUR_SLICE_SHARE[part])
            if planned is None:
                continue
            xy = planned.plane.to_pixels(target) + shake / (planned.plane.col_spacing, planned.plane.row_spacing)
            if planned.contains(xy):
                x, y = np.round(xy, 4).tolist()
                yield {
                    "study_id": study.study_id, "series_id": series.series_id,
                    "instance_number": planned.instance_number, "condition": condition_title(condition),
                    "level": label, "x": x, "y": y,
                }  # fmt: skip


def _target(patient: Patient, condition: str, level: str) -> tuple[Vector, Vector]:
    """Say which point a person marks, and which point's slice that person looks at (the disc's for a recess)."""
    if condition == CONDITIONS[0]:
        structure = "canal"
    else:
        side, kind = condition.split("_")[0], CONDITION_PARTS[condition]
        structure = f"{side}_{'foramen' if kind == NFN else 'recess'}"
    target = centres(patient, level)[structure]
    return target, level_centre(patient, level) if CONDITION_PARTS[condition] == SS else target


def _chosen_slice(series: SeriesPlan, point: Vector, draw: float, share: float) -> PlannedSlice | None:
    """Choose the slice nearest to a point or, with probability `share`, the one before or after it."""
    if series.find(point) is None:
        return None
    nearest, _ = series.nearest(point)
    index = nearest + int(draw < share / 2) - int(draw > 1 - share / 2)
    beside = series.slices[min(max(index, 0), len(series.slices) - 1)]
    return beside if abs(beside.plane.distance(point)) < 2 * series.spacing else series.slices[nearest]
