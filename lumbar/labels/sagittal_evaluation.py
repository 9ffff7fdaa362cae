"""Whether stage-1 sagittal labels are at the right level, where there are exact level points (truth.csv)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lumbar.anatomy import LEVELS
from lumbar.labels.sagittal_labels import shift_distances


def true_level_points(truth: pd.DataFrame) -> pd.DataFrame:
    """Select the level points of ``truth.csv`` and number their levels.

    Parameters
    ----------
    truth : DataFrame
        Rows of ``truth.csv``; where it has a column ``structure``, its other structures are left out.

    Returns
    -------
    DataFrame
        The same columns; ``level`` is 0 for L1/L2 to 4 for L5/S1.
    """
    points = truth[truth["structure"] == "level"] if "structure" in truth else truth
    return points.assign(level=points["level"].map(LEVELS.index))


def true_shift(points: pd.DataFrame, truth: pd.DataFrame) -> int | None:
    """Find by how many levels a series' outlines are misnamed; None where none of its points has a truth.

    Parameters
    ----------
    points : DataFrame
        As `lumbar.labels.sagittal_labels.level_points` gives them.
    truth : DataFrame
        Rows of `true_level_points` of this series.
    """
    distances = shift_distances(points, truth)
    best = min(distances, key=lambda shift: distances[shift])
    return best if np.isfinite(distances[best]) else None


def shift_recovery(used: Mapping[int, int | None], true: Mapping[int, int | None]) -> tuple[int, int, int]:
    """Count what became of the misnamed series.

    Parameters
    ----------
    used : mapping of int to (int or None)
        Shift applied per series, None where it was dropped.
    true : mapping of int to (int or None)
        As `true_shift` finds it per series.

    Returns
    -------
    (int, int, int)
        Misnamed series, those of them back at the right level, and series of any kind kept at a wrong level.
    """
    misnamed = [series for series, shift in true.items() if shift]
    back = sum(used[series] == true[series] for series in misnamed)
    wrong = sum(
        used[series] is not None and used[series] != shift for series, shift in true.items() if shift is not None
    )
    return len(misnamed), back, wrong
