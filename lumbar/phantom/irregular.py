"""The oddities of the real data, one small function each, for a share of the phantom's studies.

Each takes the planned series of a study, what the technologist knows, and a random generator, and returns the series
as an irregular study has them. `ODDITIES` lists them all; `deal` gives each irregular study the next one.
Source of the list: what the real data and its public bug reports show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from pydicom.uid import JPEG2000Lossless, RLELossless

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T2
from lumbar.phantom.plan import Contrast, Scene, SeriesPlan, numbered, plan_axial, plan_sagittal, resized, tilted

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

    def both(axial: SeriesPlan) -> SeriesPlan:
        lowest = sorted(axial.slices, key=lambda each: float(each.plane.origin[2]))[: len(axial.slices) // 3]
        return replace(axial, slices=numbered([*axial.slices, *(tilted(each, degrees) for each in lowest)]))

    return [both(each) if each.kind == AXIAL_T2 else each for each in series]


def number_gaps(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Lack two inner slices, so that instance numbers have gaps."""

    def gapped(plan: SeriesPlan) -> SeriesPlan:
        lost = rng.choice(np.arange(1, len(plan.slices) - 1), 2, replace=False)
        return replace(plan, slices=tuple(each for i, each in enumerate(plan.slices) if i not in lost))

    return [gapped(each) for each in series]


def reversed_numbers(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Count the slices of every series from the other end."""
    return [replace(each, slices=numbered(reversed(each.slices))) for each in series]


def high_numbers(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Start instance numbers high, up to the highest start of the real data."""
    return [replace(each, slices=numbered(each.slices, int(rng.integers(100, HIGHEST_START + 1)))) for each in series]


def other_size(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Have three slices of another size at one end of every series."""

    def mixed(plan: SeriesPlan) -> SeriesPlan:
        return replace(plan, slices=(*plan.slices[:-3], *(resized(each, 0.75) for each in plan.slices[-3:])))

    return [mixed(each) for each in series]


def duplicated_position(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Image one inner position of every series twice."""

    def doubled(plan: SeriesPlan) -> SeriesPlan:
        at = int(rng.integers(1, len(plan.slices) - 1))
        return replace(plan, slices=numbered([*plan.slices[: at + 1], *plan.slices[at:]]))

    return [doubled(each) for each in series]


def _stored(**changes: Any) -> Oddity:
    """Make the oddity of storing every series in another way (see `lumbar.phantom.dicom_writer.Encoding`)."""

    def oddity(series: list[SeriesPlan], scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
        return [replace(each, encoding=replace(each.encoding, **changes)) for each in series]

    return oddity


ODDITIES: Final[dict[str, Oddity]] = {
    "missing series type": missing_series,
    "JPEG 2000": _stored(transfer_syntax=JPEG2000Lossless),
    "two axial series": second_axial,
    "missing tags": _stored(absent=("SpacingBetweenSlices", "SliceThickness", "SliceLocation")),
    "two stacks in one series": two_stacks,
    "MONOCHROME1": _stored(inverted=True),
    "instance number gaps": number_gaps,
    "signed pixels": _stored(signed=True),
    "high instance numbers": high_numbers,
    "several windows": _stored(windows=3),
    "slices of another size": other_size,
    "RLE": _stored(transfer_syntax=RLELossless),
    "duplicated positions": duplicated_position,
    "no window": _stored(absent=("WindowCenter", "WindowWidth")),
    "reversed instance numbers": reversed_numbers,
    "T2 and STIR": second_sagittal,
}
"""Every oddity by name, in the order in which they are dealt out."""


def deal(count: int, share: float, rng: np.random.Generator) -> list[str | None]:
    """Deal oddities to a share of `count` studies, one each, going round `ODDITIES`.

    Parameters
    ----------
    count : int
        Number of studies.
    share : float
        0 to 1; rounded to whole studies.
    rng : Generator
        Chooses the studies and where the round starts.

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
