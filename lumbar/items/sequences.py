"""Slice sequences of a level: which slices of a series, in which order, and the box cut out of them.

A `Sequences` object holds many of them as arrays (what a dataset builds once); `Sequences.read` cuts one out of the
volumes. `lumbar.items.sagittal_crops` and `lumbar.items.axial_crops` make them from the tables of the localisers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import LEVELS
from lumbar.images.slices import SliceIndex
from lumbar.images.volumes import VolumeStore
from lumbar.items import boxes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Sequences:
    """N slice sequences, each of one series at one level.

    Parameters
    ----------
    slices : SliceIndex
        What `rows` refers to.
    rounding : str
        How boxes become whole pixels (`lumbar.items.boxes.ROUNDINGS`).
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
        return boxes.to_pixels(self.box, self.size, self.rounding)

    def read(self, store: VolumeStore, number: int, rows: Ints, size: tuple[int, int], turned: bool = False) -> Pixels:
        """Cut one sequence out of its series and resize it.

        Parameters
        ----------
        store : VolumeStore
            The cache.
        number : int
            Which sequence.
        rows : ndarray, shape (S)
            Which slices, usually `slice_rows`.
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
        in_slices = boxes.scale(self.box[number], self.size[number], sizes)
        cuts = boxes.to_pixels(in_slices, sizes, self.rounding)
        result = np.empty((len(rows), *size), dtype=np.uint8)
        for out, instance, cut in zip(result, self.slices.instance[rows].tolist(), cuts.tolist(), strict=True):
            crop = volume.crop(instance, cut)
            if turned:
                cv2.rotate(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC), cv2.ROTATE_90_COUNTERCLOCKWISE, out)
            else:
                cv2.resize(crop, size[::-1], out, interpolation=cv2.INTER_CUBIC)
        return result


def level_numbers(table: pd.DataFrame) -> Ints:
    """Levels of a table's rows as 0 to 4."""
    return np.asarray(table["level"].map({level: number for number, level in enumerate(LEVELS)}), dtype=np.int64)
