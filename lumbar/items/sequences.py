"""Slice sequences of a level: which slices of a series, in which order, and the box cut out of them.

A `Sequences` object holds many of them as arrays (what a dataset builds once); `Sequences.read` cuts one out of the
volumes. `lumbar.items.sagittal_crops` and `lumbar.items.axial_crops` make them from the tables of the localisers.

A box is x0, y0, x1, y1 in pixels, ends excluded; functions take many at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lumbar.anatomy import LEVELS
from lumbar.images.slices import Floats, Ints, SliceIndex
from lumbar.images.volumes import Pixels, VolumeStore

ROUNDINGS: Final[dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]]] = {
    "outward": (np.floor, np.ceil),
    "nearest": (np.rint, np.rint),
    "towards zero": (np.trunc, np.trunc),
}
"""How the low and the high ends become whole pixels. The published datasets each use another."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """N slice sequences, each of one series at one level.

    Parameters
    ----------
    slices : SliceIndex
        What `rows` refers to.
    rounding : str
        How boxes become whole pixels (`ROUNDINGS`).
    rows : ndarray, shape (R)
        Rows of `slices` in sequence order; sequences may share a stretch of it.
    study_id, series_id, level, start, stop : ndarray, shape (N), int64
        Sequence i has the slices ``rows[start[i]:stop[i]]``.
    box : ndarray, shape (N, 4)
        Box in a slice of the series' most common size, pixels, neither rounded nor clipped.
    size : ndarray, shape (N, 2)
        That size: width and height.
    """

    slices: SliceIndex
    rounding: str
    rows: Ints
    study_id: Ints
    series_id: Ints
    level: Ints
    start: Ints
    stop: Ints
    box: Floats
    size: Ints

    def __len__(self) -> int:
        return len(self.level)

    def take(self, chosen: NDArray) -> Sequences:
        """Keep some sequences, given by a mask or by numbers."""
        per_sequence = [field.name for field in fields(self) if field.name not in ("slices", "rounding", "rows")]
        return replace(self, **{name: getattr(self, name)[chosen] for name in per_sequence})

    def slice_rows(self, number: int) -> Ints:
        """Rows of the slice index of one sequence, in sequence order."""
        return self.rows[self.start[number] : self.stop[number]]

    def pixel_boxes(self) -> Ints:
        """Boxes as cut out of slices of the series' most common size, shape (N, 4)."""
        return to_pixels(self.box, self.size, self.rounding)

    def read(self, store: VolumeStore, number: int, rows: Ints, size: tuple[int, int], turned: bool = False) -> Pixels:
        """Cut one sequence out of its series and resize it.

        Parameters
        ----------
        store : VolumeStore
            The cache.
        number : int
            Number of the sequence.
        rows : ndarray, shape (S)
            Rows of the slice index, usually `slice_rows`.
        size : tuple of int
            Height and width of the result, pixels.
        turned : bool
            Turn the resized crops 90 degrees counter-clockwise: the patient's left, on the right of an axial slice,
            comes up.

        Returns
        -------
        ndarray, shape (S, *size), uint8
            The crops.
        """
        volume = store.series(self.study_id[number], self.series_id[number])
        sizes = self.slices.size[rows]
        cuts = to_pixels(self.box[number] * np.tile(sizes / self.size[number], 2), sizes, self.rounding)
        result = np.empty((len(rows), *size), dtype=np.uint8)
        for out, instance, cut in zip(result, self.slices.instance[rows].tolist(), cuts.tolist(), strict=True):
            crop = volume.crop(instance, cut)
            if turned:
                cv2.rotate(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC), cv2.ROTATE_90_COUNTERCLOCKWISE, out)
            else:
                cv2.resize(crop, size[::-1], out, interpolation=cv2.INTER_CUBIC)
        return result


def square(centre: ArrayLike, half: ArrayLike) -> Floats:
    """Square boxes around centres.

    Parameters
    ----------
    centre : array_like, shape (..., 2)
        x, y, pixels.
    half : array_like, shape (...)
        Half side, pixels.

    Returns
    -------
    ndarray, shape (..., 4)
        Not rounded, not clipped.
    """
    middle = np.asarray(centre, dtype=np.float64)
    reach = np.asarray(half, dtype=np.float64)[..., None]
    return np.concatenate([middle - reach, middle + reach], axis=-1)


def to_pixels(box: Floats, size: ArrayLike, rounding: str) -> Ints:
    """Round boxes to whole pixels and clip them to their slices.

    Parameters
    ----------
    box : ndarray, shape (..., 4)
        As `square` makes them.
    size : array_like, shape (..., 2)
        Width and height of the slice, pixels.
    rounding : str
        A key of `ROUNDINGS`.

    Returns
    -------
    ndarray, shape (..., 4), int64
        At least one pixel wide and high, even if the box lies outside the slice.
    """
    low, high = ROUNDINGS[rounding]
    end = np.asarray(size, dtype=np.int64)
    start = np.clip(low(box[..., :2]).astype(np.int64), 0, end - 1)
    stop = np.clip(high(box[..., 2:]).astype(np.int64), start + 1, end)
    return np.concatenate([start, stop], axis=-1)


def level_numbers(table: pd.DataFrame) -> Ints:
    """Levels of a table's rows as 0 to 4."""
    return np.asarray(table["level"].map({level: number for number, level in enumerate(LEVELS)}), dtype=np.int64)
