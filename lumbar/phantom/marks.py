"""Where things lie in the slices: exactly (``truth.csv``), as people marked them, and as SpineNet outlines them.

The level point between two vertebrae is 0.7 x the upper one's posterior-bottom corner + 0.3 x the lower one's
posterior-top corner, in the pixels of the slice, as the preparation scripts compute it from SpineNet's outlines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    PARTS,
    SCS,
    SERIES_TYPES,
    SS,
    VERTEBRAE,
    condition_title,
)
from lumbar.images.geometry import Vector
from lumbar.labels.sagittal_labels import UPPER_SHARE
from lumbar.phantom.patient import STRUCTURES, Patient
from lumbar.phantom.plan import PlannedSlice, SeriesPlan, Study

KIND_OF_PART: Final = dict(zip(PARTS, SERIES_TYPES, strict=True))
"""Series type on which a condition group is marked."""

HUMAN_ERRORS: Final = {NFN: (1.8, 0.2), SCS: (1.5, 0.1), SS: (1.3, 0.15)}
"""Standard deviation per axis of a person's mark around the true centre, mm, and how often the person marks the slice
beside the nearest one."""

UNMARKED_SHARE: Final = 0.03
"""Share of graded targets whose mark is missing."""

SHIFTED_SHARE: Final = 0.05
"""Share of series whose vertebrae SpineNet names one too high or too low (191 of 3,903 real ones)."""

ABSENT_SHARE: Final = 0.02
"""Share of series without detections."""

CORNER_NOISE_MM, BODY_NOISE_MM = 0.7, 0.5
"""Standard deviation per axis of a detected corner, and of a whole body in all its slices."""

NOT_FOUND: Final = {"T11": 0.15, "S2": 0.4}
"""How often an outer vertebra is not found."""

Outlines = dict[str, Vector]
"""Corners of the vertebral bodies that a slice meets, by vertebra (one of `lumbar.anatomy.VERTEBRAE`): an array of
shape (4, 2) in pixels, posterior-top, posterior-bottom, anterior-bottom, anterior-top."""

Fault = int | None
"""0: as it should be; -1 or +1: every vertebra named one too high or too low; None: no detections at all."""


def outline(patient: Patient, slices: Sequence[PlannedSlice]) -> list[Outlines]:
    """Find the outlines of the vertebral bodies in each of some sagittal slices, which may be oblique."""
    found: list[Outlines] = [{} for _ in slices]
    for vertebra, level in zip(VERTEBRAE, (LEVELS[0], LEVELS[0], *LEVELS, LEVELS[-1], LEVELS[-1]), strict=True):
        x = float(patient.level_point(level)[0])
        middle = patient.vertebra_corners(vertebra, x)
        if middle is None:
            continue
        for planned, outlines in zip(slices, found, strict=True):
            plane = planned.plane
            # The slice's x at the height and depth of the body.
            corners = patient.vertebra_corners(
                vertebra, float(x - plane.distance(middle.mean(axis=0)) / plane.normal[0])
            )
            if corners is not None:
                outlines[vertebra] = plane.to_pixels(corners)
    return found


def level_points(outlines: Outlines) -> dict[str, Vector]:
    """Compute the level points (x, y in pixels) of the levels whose two vertebrae a sagittal slice meets."""
    return {
        level: UPPER_SHARE * outlines[upper][1] + (1 - UPPER_SHARE) * outlines[lower][0]
        for level, upper, lower in zip(LEVELS, VERTEBRAE[2:7], VERTEBRAE[3:8], strict=True)
        if upper in outlines and lower in outlines
    }


def truth_rows(study: Study, outlines: Mapping[int, Sequence[Outlines]]) -> Iterator[dict[str, Any]]:
    """List the exact positions in every series of a study: the rows of ``truth.csv``.

    Level points stand on every sagittal slice that meets both vertebrae and on the axial slice nearest to the
    level point in the mid-line; the other centres on the slice of each series that is nearest to them. The outlines
    are those of each slice, by number of the sagittal series.
    """

    def row(planned: PlannedSlice, level: str, structure: str, xy: Vector, point: Vector) -> dict[str, Any]:
        x, y = np.round(xy, 3).tolist()
        mm_x, mm_y, mm_z = np.round(point + study.table_offset, 3).tolist()
        rows, columns = planned.shape
        return {
            "study_id": study.study_id, "series_id": series.series_id, "instance_number": planned.instance_number,
            "level": level, "x": x, "y": y, "img_h": rows, "img_w": columns,
            "structure": structure, "mm_x": mm_x, "mm_y": mm_y, "mm_z": mm_z,
        }  # fmt: skip

    for series in study.series:
        for planned, corners in zip(series.stack, outlines.get(series.series_id, ()), strict=False):
            for level, xy in level_points(corners).items():
                if planned.contains(xy):
                    yield row(planned, level, "level", xy, planned.plane.to_patient(xy))
        for level in LEVELS:
            points = study.patient.centres(level)
            if series.kind == AXIAL_T2:
                points = {"level": study.patient.level_point(level), **points}
            for structure, point in points.items():
                found = series.find(point)
                if found is not None:
                    yield row(found, level, structure, found.plane.to_pixels(point), point)


def coordinate_rows(study: Study, labels: Mapping[str, int], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Mark the graded targets as people did: the rows of ``train_label_coordinates.csv``.

    The labels are the grade, or `MISSING`, of the 25 targets; the random generator moves the readers' hands.
    """
    for condition, structure in zip(CONDITIONS, STRUCTURES, strict=True):
        part = CONDITION_PARTS[condition]
        jitter, neighbour = HUMAN_ERRORS[part]
        candidates = [series for series in study.series if series.kind == KIND_OF_PART[part]]
        for level, label in zip(LEVELS, LEVEL_LABELS, strict=True):
            shake, beside, unmarked = rng.normal(0, jitter, 2), rng.random(), rng.random() < UNMARKED_SHARE
            if unmarked or not candidates or labels[f"{condition}_{level}"] == MISSING:
                continue
            target = study.patient.centres(level)[structure]
            # The slice is that of the target; for a recess, that of the disc.
            seen = study.patient.level_point(level) if part == SS else target
            series = min(candidates, key=lambda each, seen=seen: each.nearest(seen)[1])  # type: ignore[misc]
            if series.find(seen) is None:
                continue
            planned = _chosen_slice(series, seen, beside, neighbour)
            xy = planned.plane.to_pixels(target) + shake / (planned.plane.col_spacing, planned.plane.row_spacing)
            if planned.contains(xy):
                x, y = np.round(xy, 4).tolist()
                yield {
                    "study_id": study.study_id, "series_id": series.series_id,
                    "instance_number": planned.instance_number, "condition": condition_title(condition),
                    "level": label, "x": x, "y": y,
                }  # fmt: skip


def _chosen_slice(series: SeriesPlan, point: Vector, draw: float, share: float) -> PlannedSlice:
    """Choose the slice nearest to a point or, with probability `share`, the one before or after it."""
    nearest, _ = series.nearest(point)
    index = nearest + int(draw < share / 2) - int(draw > 1 - share / 2)
    beside = series.stack[min(max(index, 0), len(series.stack) - 1)]
    return beside if abs(beside.plane.distance(point)) < 2 * series.spacing else series.stack[nearest]


def draw_faults(count: int, rng: np.random.Generator) -> list[Fault]:
    """Deal SpineNet's faults to `count` series in their shares (rounded), in random order."""
    shifted, absent = round(SHIFTED_SHARE * count), round(ABSENT_SHARE * count)
    faults: list[Fault] = [(-1, 1)[i % 2] for i in range(shifted)] + [None] * absent
    faults += [0] * (count - len(faults))
    return [faults[i] for i in rng.permutation(count)]


def detect(
    series: SeriesPlan, outlines: Sequence[Outlines], shift: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Outline the vertebrae of a sagittal series as SpineNet would.

    The published detections show what to expect: corners a little off, lateral slices absent, the outer vertebrae
    sometimes not found, and on 5 % of the series every vertebra named one too high or too low (`shift` -1 or +1).
    The outlines given are the exact ones in each slice.

    Returns
    -------
    list of dict
        Per vertebra, from below: ``predicted_label``, ``slice_nos`` (positions in the order of instance numbers, from
        0), ``polys`` (per slice the corners in whole pixels). Plain lists, floats and strings only.
    """
    found = []
    for position, vertebra in reversed(list(enumerate(VERTEBRAE))):
        missed = rng.random() < NOT_FOUND.get(vertebra, 0.0)
        drift, trimmed = rng.normal(0, BODY_NOISE_MM, 2), rng.integers(0, 4, 2) // 3  # at times an end slice is missed
        slice_nos, polys = [], []
        for index, (planned, bodies) in enumerate(zip(series.stack, outlines, strict=True)):
            corners = bodies.get(vertebra)
            error = drift + rng.normal(0, CORNER_NOISE_MM, (4, 2))
            if corners is not None and all(planned.contains(corner) for corner in corners):
                slice_nos.append(index)
                polys.append(np.round(corners + error / planned.plane.col_spacing).tolist())
        kept = slice(trimmed[0], len(slice_nos) - trimmed[1])
        name = position + shift
        if not missed and slice_nos[kept] and 0 <= name < len(VERTEBRAE):
            found.append({"predicted_label": VERTEBRAE[name], "slice_nos": slice_nos[kept], "polys": polys[kept]})
    return found
