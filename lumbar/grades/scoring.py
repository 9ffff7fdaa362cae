"""The competition's score of predicted grades, as functions of plain arrays.

Source: the published scorer of "RSNA 2024 Lumbar Spine Degenerative Classification" (Kaggle): the mean of four log
losses, one per condition group and one for "any severe spinal canal stenosis" of a study, each weighted by true grade.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lumbar.anatomy import CONDITION_PARTS, CONDITIONS, GRADE_WEIGHTS, GRADES, LEVELS, MISSING, NFN, SCS, SS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SCORED_PARTS: Final = (SCS, NFN, SS)
"""Condition groups in the order of the 25 targets."""

PART_COLUMNS: Final = {
    part: np.repeat([CONDITION_PARTS[condition] == part for condition in CONDITIONS], len(LEVELS))
    for part in SCORED_PARTS
}
"""Per condition group, which of the 25 targets belong to it: a boolean array."""

ANY_SEVERE: Final = "any_severe"
"""Name of the fourth part of the score."""

SCORE: Final = "score"
"""Name of the whole score."""


def softmax(logits: ArrayLike) -> Floats:
    """Turn logits (..., 3) into probabilities, in double precision."""
    values = np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(values - values.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def score_parts(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Compute the parts of the competition's score; lower is better.

    Parameters
    ----------
    probabilities : array_like, shape (N, 25, 3)
        Per study and target; each triple sums to 1.
    labels : array_like of int, shape (N, 25)
        Grades 0, 1, 2, or -100 where missing.

    Returns
    -------
    dict
        ``scs``, ``nfn``, ``ss``, ``any_severe``: log losses, NaN for a part without any label.

    Raises
    ------
    ValueError
        If the shapes are not those above.
    """
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    targets = len(CONDITIONS) * len(LEVELS)
    if labels.shape[1:] != (targets,) or probabilities.shape != (*labels.shape, len(GRADES)):
        raise ValueError(
            f"expected probabilities (N, 25, 3) and labels (N, 25), got {probabilities.shape}, {labels.shape}"
        )
    parts = {
        part: _log_loss(probabilities[:, columns].reshape(-1, len(GRADES)), labels[:, columns].ravel())
        for part, columns in PART_COLUMNS.items()
    }
    severe = probabilities[:, PART_COLUMNS[SCS], -1].max(1)
    worst = labels[:, PART_COLUMNS[SCS]].max(1)
    return parts | {ANY_SEVERE: _log_loss(np.stack([1 - severe, severe], 1), worst, severe_only=True)}


def all_scores(
    probabilities: ArrayLike, labels: ArrayLike, predicted: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Compute the score and its parts.

    Parameters
    ----------
    probabilities, labels : array_like, shapes (N, 25, 3), (N, 25)
        As `score_parts` takes them.
    predicted : ndarray of bool, shape (N, 25), optional
        Where the probabilities are a prediction. A condition group without any is NaN, and the score then too.

    Returns
    -------
    dict
        ``score scs nfn ss any_severe``; lower is better.
    """
    parts = score_parts(probabilities, labels)
    shown = np.ones(np.shape(labels), bool) if predicted is None else predicted
    absent = {part for part, columns in PART_COLUMNS.items() if not shown[:, columns].any()}
    if absent:
        absent |= {SCORE, *([ANY_SEVERE] if SCS in absent else [])}
    return {SCORE: total_score(parts), **parts} | dict.fromkeys(absent, float("nan"))


def total_score(parts: dict[str, float]) -> float:
    """Average the parts of the score that are defined; NaN when none is."""
    defined = [value for value in parts.values() if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def missing_shares(labels: ArrayLike) -> dict[str, float]:
    """Compute which share of the labels (N, 25) of each condition group is missing."""
    missing = np.asarray(labels) == MISSING
    return {part: float(missing[:, columns].mean()) for part, columns in PART_COLUMNS.items()}


def _log_loss(probabilities: Floats, grades: NDArray[np.integer], severe_only: bool = False) -> float:
    """Compute the log loss of rows (R, classes), each weighted by its true grade (R); missing ones weigh nothing."""
    known = grades != MISSING
    if not known.any():
        return float("nan")
    grades, probabilities = grades[known], probabilities[known]
    classes = (grades == len(GRADES) - 1).astype(int) if severe_only else grades
    # Clipped as scikit-learn's log_loss does, which the published scorer calls.
    epsilon = np.finfo(np.float64).eps
    chosen = np.clip(probabilities[np.arange(len(classes)), classes], epsilon, 1 - epsilon)
    return float(np.average(-np.log(chosen), weights=np.asarray(GRADE_WEIGHTS)[grades]))
