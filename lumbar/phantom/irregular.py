"""The oddities of the real data, for a share of the phantom's studies.

Each takes the planned series of a study, what the technologist knows, and a random generator, and returns the series
as an irregular study has them; or it takes and returns the rows of its label coordinates. Source of the list: what the
real data and its public bug reports show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any, Final

import numpy as np
from pydicom.uid import JPEG2000Lossless, RLELossless

from lumbar.anatomy import AXIAL_T2, CONDITIONS, condition_title
from lumbar.images.frames import order_frames
from lumbar.phantom.plan import (
    HEAD,
    LEFT,
    POSTERIOR,
    PlannedSlice,
    Scene,
    SeriesPlan,
    numbered,
    parallel_planes,
    plan_axial,
    plan_sagittal,
)

HIGHEST_START: Final = 5049
"""Highest first instance number in the real data."""

Oddity = Callable[[list[SeriesPlan], Scene, np.random.Generator], list[SeriesPlan]]


def missing_series(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Lack one of the three series types."""
    lost = rng.integers(len(series))
    return [each for i, each in enumerate(series) if i != lost]


def second_axial(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Have two axial series."""
    return [*series, plan_axial(scene, rng)]


def second_t1(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Have two sagittal T1 series."""
    return [*series, plan_sagittal(scene, rng)]


def axial_in_parts(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Have an axial series of the upper levels and one of the lower, so that recesses are marked on both."""
    middle = len(scene.levels) // 2
    parts = scene.levels[: middle + 1], scene.levels[middle:]
    sagittal = [each for each in series if each.kind != AXIAL_T2]
    return sagittal + [plan_axial(replace(scene, levels=part), rng) for part in parts]


def restarted_numbers(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """Image the lower half of an axial stack again, between its slices, in a stack that the headers count from 1."""
    if plan.kind != AXIAL_T2:
        return plan
    lower = sorted(plan.slices, key=lambda each: float(each.plane.origin[2]))[: len(plan.slices) // 2]
    between = [replace(each.plane, origin=np.round(each.plane.origin + 0.5 * plan.spacing * each.plane.normal, 4))
               for each in lower]  # fmt: skip
    second = [replace(each, plane=plane, header_number=number)
              for number, (each, plane) in enumerate(zip(lower, between, strict=True), start=1)]  # fmt: skip
    return replace(plan, slices=numbered([*plan.slices, *second]))


def scout(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """End with a scout: an axial slice in a sagittal series, a sagittal one in an axial series."""
    middle = plan.slices[len(plan.slices) // 2]
    rows, columns = middle.shape
    centre = middle.plane.to_patient(((columns - 1) / 2, (rows - 1) / 2))
    normal, row_hint = (-LEFT, POSTERIOR) if plan.kind == AXIAL_T2 else (HEAD, LEFT)
    size = middle.plane.row_spacing * rows
    (plane,) = parallel_planes(centre, normal, row_hint, size, middle.shape, np.zeros(1))
    return replace(plan, slices=numbered([*plan.slices, PlannedSlice(plane, middle.shape, scout=True)]))


def enhanced(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """Come as one enhanced multi-frame file, whose frames are numbered as preparation does it."""
    places = [
        {"ImagePositionPatient": plane.origin, "ImageOrientationPatient": [*plane.row_dir, *plane.col_dir]}
        for plane in (each.plane for each in plan.slices)
    ]
    slices = numbered(plan.slices[index] for index in order_frames(places))
    return replace(plan, slices=slices, encoding=replace(plan.encoding, one_file=True))


def corner_clicks(marks: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Click into the corner of the image instead of one or two of the canals, as 13 points of the real data are."""
    canals = [number for number, mark in enumerate(marks) if mark["condition"] == condition_title(CONDITIONS[0])]
    for number in rng.permutation(canals)[: rng.integers(1, 3)].tolist():
        x, y = np.round(rng.uniform(1, 4.5, 2), 4).tolist()
        marks[number] |= {"x": x, "y": y}
    return marks


def two_stacks(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Hold a second stack in the axial series: its lowest slices once more, at another tilt."""
    degrees = float(rng.uniform(12, 25))
    result = []
    for each in series:
        if each.kind == AXIAL_T2:
            lowest = sorted(each.slices, key=lambda slice_: float(slice_.plane.origin[2]))[: len(each.slices) // 3]
            each = replace(each, slices=numbered([*each.slices, *(tilted(lower, degrees) for lower in lowest)]))
        result.append(each)
    return result


def _each_series(change: Callable[[SeriesPlan, np.random.Generator], SeriesPlan]) -> Oddity:
    """Make the oddity of changing every series by itself."""
    return lambda series, _scene, rng: [change(each, rng) for each in series]


def _stored(**changes: Any) -> Oddity:
    """Make the oddity of storing every series in another way (see `lumbar.phantom.plan.Encoding`)."""
    return _each_series(lambda plan, _rng: replace(plan, encoding=replace(plan.encoding, **changes)))


def number_gaps(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """Lack two inner slices, so that instance numbers have gaps."""
    lost = rng.choice(np.arange(1, len(plan.slices) - 1), 2, replace=False)
    return replace(plan, slices=tuple(each for i, each in enumerate(plan.slices) if i not in lost))


def reversed_numbers(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """Count the slices from the other end."""
    return replace(plan, slices=numbered(reversed(plan.slices)))


def high_numbers(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """Start instance numbers high, up to the highest start of the real data."""
    return replace(plan, slices=numbered(plan.slices, int(rng.integers(100, HIGHEST_START + 1))))


def other_size(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """Have three slices of another size at one end."""
    return replace(plan, slices=(*plan.slices[:-3], *(resized(each, 0.75) for each in plan.slices[-3:])))


def duplicated_position(plan: SeriesPlan, rng: np.random.Generator) -> SeriesPlan:
    """Image one inner position twice."""
    at = int(rng.integers(1, len(plan.slices) - 1))
    return replace(plan, slices=numbered([*plan.slices[: at + 1], *plan.slices[at:]]))


def resized(planned: PlannedSlice, factor: float) -> PlannedSlice:
    """Cover the same field with another number of pixels (`factor` times as many on each axis)."""
    rows, columns = (max(1, round(side * factor)) for side in planned.shape)
    old = planned.plane
    row_spacing, col_spacing = old.row_spacing * planned.shape[0] / rows, old.col_spacing * planned.shape[1] / columns
    shift = (col_spacing - old.col_spacing) / 2 * old.row_dir + (row_spacing - old.row_spacing) / 2 * old.col_dir
    plane = replace(
        old, origin=np.round(old.origin + shift, 4), row_spacing=round(row_spacing, 4),
        col_spacing=round(col_spacing, 4),
    )  # fmt: skip
    return replace(planned, plane=plane, shape=(rows, columns))


def tilted(planned: PlannedSlice, degrees: float) -> PlannedSlice:
    """Turn a slice about its middle row, so that its normal leans to the upper edge of the image."""
    old, (rows, columns) = planned.plane, planned.shape
    centre = old.to_patient(((columns - 1) / 2, (rows - 1) / 2))
    angle = np.deg2rad(degrees)
    normal = np.cos(angle) * old.normal - np.sin(angle) * old.col_dir
    (plane,) = parallel_planes(centre, normal, old.row_dir, old.row_spacing * rows, planned.shape, np.zeros(1))
    return replace(planned, plane=plane)


ODDITIES: Final[dict[str, Oddity]] = {
    "missing series type": missing_series,
    "JPEG 2000": _stored(transfer_syntax=JPEG2000Lossless),
    "two axial series": second_axial,
    "missing tags": _stored(absent=("SpacingBetweenSlices", "SliceThickness", "SliceLocation")),
    "two stacks in one series": two_stacks,
    "MONOCHROME1": _stored(inverted=True),
    "instance number gaps": _each_series(number_gaps),
    "signed pixels": _stored(signed=True),
    "high instance numbers": _each_series(high_numbers),
    "several windows": _stored(windows=3),
    "slices of another size": _each_series(other_size),
    "RLE": _stored(transfer_syntax=RLELossless),
    "duplicated positions": _each_series(duplicated_position),
    "no window": _stored(absent=("WindowCenter", "WindowWidth")),
    "reversed instance numbers": _each_series(reversed_numbers),
    "two T1 series": second_t1,
    "axial series in two parts": axial_in_parts,
    "restarted instance numbers": _each_series(restarted_numbers),
    "scout in each series": _each_series(scout),
    "enhanced multi-frame": _each_series(enhanced),
}
"""Oddities of images by name, in the order in which they are dealt out."""

ODD_MARKS: Final[dict[str, Callable[[list[dict[str, Any]], np.random.Generator], list[dict[str, Any]]]]] = {
    "corner clicks": corner_clicks,
}
"""Oddities of the rows of label coordinates."""

TRAIN_ODDITIES: Final = tuple(name for name in (*ODDITIES, *ODD_MARKS) if name != "enhanced multi-frame")
"""Oddities of training studies: Kaggle's are in single files."""


def deal(studies: int, test_studies: int, share: float, rng: np.random.Generator) -> list[str | None]:
    """Deal oddities to a share (0 to 1) of all studies, one each, going round `TRAIN_ODDITIES` and `ODDITIES`.

    Returns
    -------
    list of str or None
        Per study, those for training first, a key of `ODDITIES` or `ODD_MARKS`, None for a regular study. The first
        irregular test study is an enhanced multi-frame one.
    """
    total = studies + test_studies
    start = int(rng.integers(len(TRAIN_ODDITIES)))
    names = cycle((*TRAIN_ODDITIES[start:], *TRAIN_ODDITIES[:start]))
    test_names = cycle(reversed(ODDITIES))
    dealt: list[str | None] = [None] * total
    for study in rng.permutation(total)[: round(share * total)].tolist():
        dealt[study] = next(names if study < studies else test_names)
    return dealt
