"""Crops of axial series: the slices that the mapping gives each level, around the predicted points on them."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import LEVELS
from lumbar.images.slices import Floats, Ints, SliceIndex
from lumbar.items.sequences import Sequences, level_numbers, square

_log = logging.getLogger(__name__)

FURTHEST: Final = 3.0
"""A level whose closest axial slice is this far away, mm, or further is not on that series (published)."""

SLICE_REACH: Final = 0.7
"""Slices of a level on either side, in slices from one level to the next (published: by slice numbers)."""

SIDE: Final = 2.0
"""Side of a box, in distances between the left and the right point (published)."""

SMALLEST_SIDE: Final = 40.0
"""Least side of a box, pixels (published)."""


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
    half = SLICE_REACH * level_gaps(mapping, slices)
    usable = ~np.isnan(nearest) & ~np.isnan(half)[:, None]
    series, level = np.nonzero(usable)
    number = nearest[usable]
    order, keys, key_of = slices.along_stacks()
    reach = np.floor(half[series]).astype(np.int64)
    middle = key_of[slices.find(slices.series[series], number)]
    start, stop = np.searchsorted(keys, middle - reach), np.searchsorted(keys, middle + reach, side="right")
    stretch, group = _expand(start, stop)
    rows = order[stretch]
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
        box=square(centre, np.maximum(side, SMALLEST_SIDE) // 2),
        size=slices.common_size[series],
    ).take(made)


def _on_series(mapping: pd.DataFrame, slices: SliceIndex) -> pd.DataFrame:
    """List the levels that are on a series: `series` (row), `level` (0 to 4), `instance`, `distance` of the closest.

    One row per sagittal source that is nearer than `FURTHEST`, in the order of series, level and source.
    """
    found = pd.DataFrame(
        {
            "series": slices.series_row(mapping["series_id"]),
            "level": level_numbers(mapping),
            "source": mapping["source_series_id"].to_numpy(),
            "instance": [numbers[0] for numbers in mapping["mapped_ax_instance_number"]],
            "distance": [distances[0] for distances in mapping["distance"]],
        }
    )
    found = found[(found["series"] >= 0) & (found["distance"] < FURTHEST)]
    return found.sort_values(["series", "level", "source"], kind="stable")


def closest_slices(mapping: pd.DataFrame, slices: SliceIndex) -> Floats:
    """Instance number of the axial slice closest to each level, shape (M, 5).

    NaN where the closest is `FURTHEST` away or further, or the level is not mapped. Of several sagittal sources
    the closest counts.
    """
    found = _on_series(mapping, slices)
    closest = found.sort_values("distance", kind="stable").drop_duplicates(["series", "level"])
    nearest = np.full((len(slices.series), len(LEVELS)), np.nan)
    nearest[closest["series"], closest["level"]] = closest["instance"]
    return nearest


def level_gaps(mapping: pd.DataFrame, slices: SliceIndex) -> Floats:
    """Slices from one level to the next, shape (M): the size of the median signed gap, over all sources.

    Gaps count with their sign, so that levels out of order make the median small instead of large. NaN without two
    consecutive levels.
    """
    found = _on_series(mapping, slices)
    series, level, instance = (found[name].to_numpy() for name in ("series", "level", "instance"))
    consecutive = (np.diff(series) == 0) & (np.diff(level) == 1)
    place = slices.along_stacks()[2][slices.find(slices.series[series], instance)]
    gaps = pd.Series(np.diff(place)[consecutive]).groupby(series[1:][consecutive]).median()
    return gaps.abs().reindex(range(len(slices.series))).to_numpy(np.float64)


def _axial_boxes(
    points: pd.DataFrame, slices: SliceIndex, series: Ints, rows: Ints, group: Ints
) -> tuple[Floats, Floats]:
    """Centre (N, 2) and side (N) of each group's box, pixels, NaN where none of its slices has a predicted point."""
    row = slices.find(points["series_id"], points["instance_number"])
    xy = np.full((len(slices), 4), np.nan)
    xy[row[row >= 0]] = points.loc[row >= 0, ["x_left", "y_left", "x_right", "y_right"]]
    median = pd.DataFrame(xy[rows]).groupby(group).median().reindex(range(len(series))).to_numpy()
    sides = median.reshape(-1, 2, 2) * slices.common_size[series][:, None]  # (N, left and right, x and y)
    return sides.mean(axis=1), SIDE * np.abs(sides[:, 0] - sides[:, 1]).max(axis=1)


def _expand(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """List all rows of the stretches start..stop, and the number of the stretch that each belongs to."""
    count = stop - start
    group = np.repeat(np.arange(len(count)), count)
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - start, count), group
