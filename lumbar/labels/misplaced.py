"""Human points that cannot be right: clicks into a corner of the image, levels far from where their series has them.

Some people clicked the corner where they found nothing to mark, or counted vertebrae wrongly. What learns from the
places of points leaves such points out, and says which; `scripts/check_data.py` lists them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lumbar.anatomy import LEVEL_LABELS, NFN, SCS, condition_title

CORNER: Final = 0.03
"""Share of the image's sides within which a point lies in its corner: found all 13 clicks of the real data, and no
other point."""

MOST_GAPS: Final = 1.2
"""Distance from where the other levels put a point, in gaps between two levels, beyond which it is misplaced.

Of the real tables' 23 points that are known to be wrong such a limit finds 16, and 19 others; a curved spine alone
brings 0.9 (the most in 131 outlined series of other real MRI)."""

LEAST_LEVELS: Final = 4
"""Levels of a series with a point, below which nobody knows which of them is wrong."""

OUTSIDE, IN_CORNER = "outside its image", "in a corner of its image"
"""Reasons that a single point gives."""


def at_border(xy: ArrayLike, size: ArrayLike) -> NDArray[np.str_]:
    """Say why points of any series type cannot be right by where they lie in their images.

    Parameters
    ----------
    xy, size : array_like, shape (N, 2)
        x, y of each point, and width and height of its image, pixels.

    Returns
    -------
    ndarray of str, shape (N,)
        `OUTSIDE`, `IN_CORNER`, or an empty string.
    """
    share = np.asarray(xy, np.float64) / np.asarray(size, np.float64)
    outside = ((share < 0) | (share > 1)).any(axis=-1)
    corner = (np.abs(share - 0.5) > 0.5 - CORNER).all(axis=-1)
    return np.select([corner, outside], [IN_CORNER, OUTSIDE], "")


def misplaced(points: pd.DataFrame) -> pd.Series:
    """Say of each human point why it cannot be right.

    Parameters
    ----------
    points : DataFrame
        As `lumbar.labels.human.human_points` gives them, with the ``img_w, img_h`` of their slices.

    Returns
    -------
    Series of str
        Reasons, empty for good points; indexed as `points`.
    """
    reasons = pd.Series(at_border(points[["x", "y"]], points[["img_w", "img_h"]]), points.index, dtype=object)
    sagittal = points[(reasons == "") & points["part"].isin([NFN, SCS])]
    for _, series in sagittal.groupby("series_id"):
        off = _level_gaps_off(
            series["level"].to_numpy(np.float64), series[["x", "y"]].to_numpy() / series[["img_h"]].to_numpy()
        )
        for index, gaps in zip(series.index[off > MOST_GAPS], off[off > MOST_GAPS], strict=True):
            reasons[index] = f"{gaps:.1f} level gaps from where the other levels of its series have it"
    return reasons


def _level_gaps_off(level: NDArray[np.float64], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure how far points lie from the line along which most levels of their series follow each other.

    The line is that of repeated medians (Siegel, Biometrika 1982), which up to half of the points cannot lead astray.

    Parameters
    ----------
    level : ndarray, shape (N,)
        0 to 4.
    xy : ndarray, shape (N, 2)
        In any unit.

    Returns
    -------
    ndarray, shape (N,)
        In gaps between two levels; 0 with fewer than `LEAST_LEVELS` levels.
    """
    if len(np.unique(level)) < LEAST_LEVELS:
        return np.zeros(len(level))
    apart = level[:, None] - level
    steps = (xy[:, None] - xy) / np.where(apart == 0, np.nan, apart)[..., None]  # (N, N, 2)
    step = np.median(np.nanmedian(steps, axis=1), axis=0)
    start = xy - level[:, None] * step
    distance = np.linalg.norm(start - np.median(start, axis=0), axis=1)
    gap = float(np.linalg.norm(step))
    return distance / gap if gap else np.where(distance > 0, np.inf, 0.0)


def describe(points: pd.DataFrame, reasons: pd.Series) -> list[str]:
    """Write a line for each point with a reason: its slice, what it marks, where it lies, why it cannot be right."""
    return [
        f"{row.study_id}/{row.series_id}/{row.instance_number} {condition_title(str(row.condition))} "
        f"{LEVEL_LABELS[int(str(row.level))]} at ({row.x:.0f}, {row.y:.0f}): {reason}"
        for row, reason in zip(points.itertuples(), reasons, strict=True)
        if reason
    ]
