"""Slice sequences of a level: which slices of a series, in which order, and the box cut out of them.

A `Sequences` object holds many of them as arrays (what a dataset builds once); `Sequences.read` cuts one out of the
volumes. `sagittal_sequences` and `axial_sequences` make them from the tables of the localisers.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar import boxes
from lumbar.anatomy import LEVELS
from lumbar.augment import resize
from lumbar.slices import SliceIndex
from lumbar.volumes import VolumeStore

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]

_log = logging.getLogger(__name__)

SLICE_THRESHOLD: Final = 0.2
"""A sagittal slice belongs to a level's sequence if its predicted `logits_mask` is over this (published)."""

SAGITTAL_REACH: Final = 1.1
"""Half side of a sagittal level box, in distances to the further of the neighbouring levels (published)."""

SMALLEST_SAGITTAL_HALF: Final = 40.0
"""Least half side of a sagittal level box, pixels (published)."""

FURTHEST_AXIAL: Final = 3.0
"""A level whose closest axial slice is this far away, mm, or further is not on that series (published)."""

AXIAL_REACH: Final = 0.7
"""Slices of a level on either side, in median slice-number gaps between consecutive levels (published)."""

AXIAL_SIDE: Final = 2.0
"""Side of an axial box, in distances between the left and the right point (published)."""

SMALLEST_AXIAL_SIDE: Final = 40.0
"""Least side of an axial box, pixels (published)."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """N slice sequences, each of one series at one level.

    Parameters
    ----------
    slices : SliceIndex
        What `rows` refers to.
    rounding : str
        How boxes become whole pixels (`lumbar.boxes.ROUNDINGS`).
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

    def read(self, store: VolumeStore, number: int, rows: Ints, size: tuple[int, int]) -> Pixels:
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
            Height and width to resize to, pixels.

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
        for k, (instance, cut) in enumerate(zip(self.slices.instance[rows].tolist(), cuts.tolist(), strict=True)):
            result[k] = resize(volume.crop(instance, cut)[None], size, cv2.INTER_CUBIC)[0]
        return result


def sagittal_sequences(points: pd.DataFrame, slices: SliceIndex, threshold: float) -> Sequences:
    """Cut the five levels out of sagittal series, slices from the patient's right to left.

    The centre of a level's box is the middle of the range of its predicted points over the slices that surely show
    the spine; series without such a slice are dropped, counted in the log.

    Parameters
    ----------
    points : DataFrame
        `lumbar.tables.SAGITTAL_XY`.
    slices : SliceIndex
        The sagittal series wanted.
    threshold : float
        A slice surely shows the spine if its `logits_mask` is over this.
    """
    row = slices.find(points["series_id"], points["instance_number"])
    points, row = points[row >= 0], row[row >= 0]
    mask = points["logits_mask"].to_numpy(np.float64)
    series_row = slices.series_row(points["series_id"])
    sure = mask > threshold
    centre = _range_centres(scaled_points(points, slices)[sure], series_row[sure], level_numbers(points)[sure], slices)
    dropped = int(np.isnan(centre).all(axis=(1, 2)).sum())
    _log.info("sagittal crops: %d of %d series have no slice that surely shows the spine", dropped, len(centre))

    order = slices.right_to_left()
    listed = np.zeros(len(slices), dtype=bool)
    listed[row[mask > SLICE_THRESHOLD]] = True
    before = np.append(0, np.cumsum(listed[order]))  # the order keeps each series' rows where they were
    start, stop = before[slices.first[:-1]], before[slices.first[1:]]
    made = ~np.isnan(centre).any(axis=-1) & (stop > start)[:, None]
    series, level = np.nonzero(made)
    half = np.fmax(SAGITTAL_REACH * _distance_to_neighbours(centre), SMALLEST_SAGITTAL_HALF)
    return Sequences(
        slices=slices,
        rounding="outward",
        rows=order[listed[order]],
        study_id=slices.study_id[slices.first[series]],
        series_id=slices.series[series],
        level=level.astype(np.int64),
        start=start[series],
        stop=stop[series],
        box=boxes.square(centre[made], half[made]),
        size=slices.common_size[series],
    )


def level_numbers(table: pd.DataFrame) -> Ints:
    """Levels of a table's rows as 0 to 4."""
    return np.asarray(table["level"].map({level: number for number, level in enumerate(LEVELS)}), dtype=np.int64)


def scaled_points(points: pd.DataFrame, slices: SliceIndex) -> Floats:
    """Level points in pixels of their series' most common slice size, shape (len(points), 2)."""
    ratio = slices.common_size[slices.series_row(points["series_id"])] / points[["img_w", "img_h"]].to_numpy()
    return points[["x", "y"]].to_numpy(np.float64) * ratio


def _range_centres(xy: Floats, series: Ints, level: Ints, slices: SliceIndex) -> Floats:
    """Middle of the range of x and of y per series and level, shape (M, 5, 2); NaN without a point."""
    lowest = np.full((len(slices.series), len(LEVELS), 2), np.nan)
    highest = lowest.copy()
    np.fmin.at(lowest, (series, level), xy)
    np.fmax.at(highest, (series, level), xy)
    return (lowest + highest) / 2


def _distance_to_neighbours(centre: Floats) -> Floats:
    """Larger distance of each level to the one above or below, shape (M, 5); NaN where neither is known."""
    distance = np.linalg.norm(np.diff(centre, axis=1), axis=-1)  # (M, 4)
    none = np.full((len(centre), 1), np.nan)
    return np.fmax(np.hstack([none, distance]), np.hstack([distance, none]))


def axial_sequences(mapping: pd.DataFrame, points: pd.DataFrame, slices: SliceIndex) -> Sequences:
    """Cut the levels out of axial series, slices from the feet to the head.

    Levels whose closest slice is too far away, series with no two consecutive levels and levels without predicted
    points are dropped, counted in the log.

    Parameters
    ----------
    mapping : DataFrame
        `lumbar.tables.AXIAL_LEVELS`.
    points : DataFrame
        `lumbar.tables.AXIAL_XY`.
    slices : SliceIndex
        The axial series wanted.
    """
    nearest = closest_slices(mapping, slices)  # (M, 5)
    half = AXIAL_REACH * np.array([_median_gap(numbers) for numbers in nearest])
    usable = ~np.isnan(nearest) & ~np.isnan(half)[:, None]
    series, level = np.nonzero(usable)
    number = nearest[usable]
    start, stop = slices.between(
        slices.series[series], np.maximum(np.ceil(number - half[series]), 0), np.floor(number + half[series])
    )
    rows, group = _expand(start, stop)
    centre, side = _axial_boxes(points, slices, series, rows, group)
    ends = np.cumsum(stop - start)
    made = np.isfinite(side)
    mapped = len(mapping[mapping["series_id"].isin(slices.series)].groupby(["series_id", "level"]))
    _log.info("axial crops: %d of %d mapped series-levels are kept", made.sum(), mapped)
    return Sequences(
        slices=slices,
        rounding="towards zero",
        rows=slices.feet_to_head(rows, group),
        study_id=slices.study_id[slices.first[series]],
        series_id=slices.series[series],
        level=level.astype(np.int64),
        start=ends - (stop - start),
        stop=ends,
        box=boxes.square(centre, np.maximum(side, SMALLEST_AXIAL_SIDE) / 2),
        size=slices.common_size[series],
    ).take(made)


def _median_gap(numbers: Floats) -> float:
    """Median absolute gap between consecutive levels' slice numbers (5,); NaN without two consecutive levels."""
    gaps = np.abs(np.diff(numbers))
    known = gaps[~np.isnan(gaps)]
    return float(np.median(known)) if len(known) else np.nan


def closest_slices(mapping: pd.DataFrame, slices: SliceIndex) -> Floats:
    """Instance number of the axial slice closest to each level, shape (M, 5).

    NaN where the closest is `FURTHEST_AXIAL` away or further, or the level is not mapped. Of several sagittal sources
    the closest counts.
    """
    first = pd.DataFrame(
        {
            "series": slices.series_row(mapping["series_id"]),
            "level": level_numbers(mapping),
            "instance": [numbers[0] for numbers in mapping["mapped_ax_instance_number"]],
            "distance": [distances[0] for distances in mapping["distance"]],
        }
    )
    first = first[(first["series"] >= 0) & (first["distance"] < FURTHEST_AXIAL)]
    first = first.sort_values("distance", kind="stable").drop_duplicates(["series", "level"])
    nearest = np.full((len(slices.series), len(LEVELS)), np.nan)
    nearest[first["series"], first["level"]] = first["instance"]
    return nearest


def _axial_boxes(
    points: pd.DataFrame, slices: SliceIndex, series: Ints, rows: Ints, group: Ints
) -> tuple[Floats, Floats]:
    """Centre (N, 2) and side (N) of each group's box, pixels, NaN where none of its slices has a predicted point."""
    row = slices.find(points["series_id"], points["instance_number"])
    xy = np.full((len(slices), 4), np.nan)
    xy[row[row >= 0]] = points.loc[row >= 0, ["x_left", "y_left", "x_right", "y_right"]]
    median = pd.DataFrame(xy[rows]).groupby(group).median().reindex(range(len(series))).to_numpy()
    sides = median.reshape(-1, 2, 2) * slices.common_size[series][:, None]  # (N, left and right, x and y)
    return sides.mean(axis=1), AXIAL_SIDE * np.abs(sides[:, 0] - sides[:, 1]).max(axis=1)


def _expand(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """List all rows of the stretches start..stop, and the number of the stretch that each belongs to."""
    count = stop - start
    group = np.repeat(np.arange(len(count)), count)
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - start, count), group
