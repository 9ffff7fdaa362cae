"""Crops of sagittal series from the predicted level points: the five levels, or the whole lumbar spine."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import LEVELS
from lumbar.images.slices import Floats, Ints, SliceIndex
from lumbar.items.sequences import Sequences, level_numbers, square

_log = logging.getLogger(__name__)

SLICE_THRESHOLD: Final = 0.2
"""A slice belongs to a level's sequence if its predicted `logits_mask` is over this (published)."""

LEVEL_REACH: Final = 1.1
"""Half side of a level box, in distances to the further of the neighbouring levels (published)."""

SMALLEST_HALF: Final = 40.0
"""Least half side of a level box, pixels (published)."""

LUMBAR_REACH: Final = 0.7
"""Half side of the lumbar box, in extents of the level points (published)."""


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
    half = np.fmax(LEVEL_REACH * _distance_to_neighbours(centre), SMALLEST_HALF)
    return Sequences(
        slices=slices,
        rounding="outward",
        rows=order[listed[order]],
        study_id=slices.study_id[slices.first[series]],
        series_id=slices.series[series],
        level=level.astype(np.int64),
        start=start[series],
        stop=stop[series],
        box=square(centre[made], half[made]),
        size=slices.common_size[series],
    )


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


def lumbar_sequences(points: pd.DataFrame, slices: SliceIndex) -> Sequences:
    """Cut the lumbar spine out of sagittal series: a square around the mean points of all levels.

    Parameters
    ----------
    points : DataFrame
        `lumbar.tables.SAGITTAL_XY`. Series without a point are dropped, counted in the log.
    slices : SliceIndex
        The sagittal series wanted.
    """
    points = points[slices.series_row(points["series_id"]) >= 0]
    xy = pd.DataFrame(scaled_points(points, slices), columns=["x", "y"])
    mean = xy.groupby([slices.series_row(points["series_id"]), level_numbers(points)]).mean()
    by_series = mean.groupby(level=0)
    lowest, highest = by_series.min().to_numpy(), by_series.max().to_numpy()
    series = by_series.min().index.to_numpy(np.int64)
    _log.info("lumbar crops: %d of %d series have no predicted level point", len(slices.series) - len(series),
              len(slices.series))  # fmt: skip
    return Sequences(
        slices=slices,
        rounding="nearest",
        rows=slices.right_to_left(),
        study_id=slices.study_id[slices.first[series]],
        series_id=slices.series[series],
        level=np.full(len(series), len(LEVELS) // 2),
        start=slices.first[series],
        stop=slices.first[series + 1],
        box=square((lowest + highest) / 2, LUMBAR_REACH * (highest - lowest).max(axis=1)),
        size=slices.common_size[series],
    )
