"""The oddities of the real data, for a share of the phantom's studies.

Each takes the planned series of a study, what the technologist knows, and a random generator, and returns the series
as an irregular study has them. Source of the list: what the real data and its public bug reports show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from pydicom.uid import JPEG2000Lossless, RLELossless

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T2
from lumbar.phantom.plan import PlannedSlice, Scene, SeriesPlan, numbered, parallel_planes, plan_axial, plan_sagittal
from lumbar.phantom.tissue import Contrast

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


def second_sagittal(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Have a T2 and a STIR sagittal series, both called Sagittal T2/STIR."""
    has = next(each.contrast for each in series if each.kind == SAGITTAL_T2)
    contrast: Contrast = "STIR" if has == "T2" else "T2"
    return [*series, replace(plan_sagittal(scene, rng), kind=SAGITTAL_T2, contrast=contrast)]


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
    "T2 and STIR": second_sagittal,
}
"""Every oddity by name, in the order in which they are dealt out."""


def deal(count: int, share: float, rng: np.random.Generator) -> list[str | None]:
    """Deal oddities to a share (0 to 1) of `count` studies, one each, going round `ODDITIES`.

    Returns
    -------
    list of str or None
        Per study a key of `ODDITIES`, None for a regular study.
    """
    names = list(ODDITIES)
    start = int(rng.integers(len(names)))
    dealt: list[str | None] = [None] * count
    for i, study in enumerate(rng.permutation(count)[: round(share * count)]):
        dealt[study] = names[(start + i) % len(names)]
    return dealt
