"""What to answer for a target about which nothing is known: how frequent the grades are."""

from __future__ import annotations

from typing import Final

import numpy as np

from lumbar.anatomy import CONDITION_PARTS, CONDITIONS, GRADE_SHARES, GRADE_WEIGHTS, GRADES, LEVELS
from lumbar.grades.scoring import PART_COLUMNS, Floats, Ints

PRIOR: Final = 0.5
"""Labels that are added to each grade of a level, so that none counts as impossible (the Jeffreys prior).

Of the values tried on simulated labels of 4 to 1,500 patients it gives the baseline that is hardest to beat.
"""


def class_shares() -> Floats:
    """Give the grades' shares in the real data (`lumbar.anatomy.GRADE_SHARES`), `weighted`: shape (25, 3)."""
    return weighted(np.array([GRADE_SHARES[CONDITION_PARTS[name]][level] for name in CONDITIONS
                              for level in range(len(LEVELS))]))  # fmt: skip


def weighted(shares: Floats) -> Floats:
    """Weight shares (..., 3) as the metric weights grades: of all constant answers the one that scores best."""
    result = shares * GRADE_WEIGHTS
    return result / result.sum(-1, keepdims=True)


def counted_shares(grades: Ints) -> Floats:
    """Count how frequent the grades are per condition group and level.

    Parameters
    ----------
    grades : ndarray, shape (N, 25)
        Labels, -100 where missing.

    Returns
    -------
    ndarray, shape (25, 3)
        Shares with `PRIOR` added, equal for left and right; each triple sums to 1.
    """
    counts = (grades[..., None] == np.arange(len(GRADES))).sum(0).astype(np.float64)  # (25, 3)
    shares = np.empty_like(counts)
    for columns in PART_COLUMNS.values():
        levels = counts[columns].reshape(-1, len(LEVELS), len(GRADES)).sum(0) + PRIOR  # (5, 3)
        shares[columns] = np.tile(levels / levels.sum(-1, keepdims=True), (columns.sum() // len(LEVELS), 1))
    return shares


def shares_of_other_folds(grades: Ints, fold: Ints) -> Floats:
    """Give each study of `grades` (N, 25) the `counted_shares` of all folds (N) but its own: shape (N, 25, 3)."""
    shares = np.empty((*grades.shape, len(GRADES)))
    for each in np.unique(fold):
        shares[fold == each] = counted_shares(grades[fold != each])
    return shares
