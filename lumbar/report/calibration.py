"""Whether the right grade is named, and whether probabilities mean what they say: confusion and reliability."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from lumbar.anatomy import GRADE_WEIGHTS, GRADES, MISSING
from lumbar.grades.scoring import PART_COLUMNS
from lumbar.html.charts import GRADE_COLOURS, draw
from lumbar.report.scores import Floats, Ints, Outcome

BINS: Final = 10
"""A reliability curve has so many bins of equal width."""

MIN_LABELS: Final = 5
"""A bin with fewer labels is not drawn."""


class Reliability(NamedTuple):
    """How often a grade was right where it was given a certain probability."""

    predicted: Floats
    """Weighted mean probability per bin, NaN in a bin of fewer than `MIN_LABELS` labels."""
    observed: Floats
    """Weighted share of labels that are this grade, per bin."""
    error: float
    """Expected calibration error: the mean distance of the two, each bin by its weight."""


def labelled(outcome: Outcome, part: str) -> tuple[Floats, Ints]:
    """Give the predictions (R, 3) and labels (R) of the predicted and graded targets of a condition group."""
    usable = outcome.predicted & (outcome.grades != MISSING) & PART_COLUMNS[part]
    return outcome.probabilities[usable], outcome.grades[usable]


def confusion(probabilities: Floats, grades: Ints) -> Ints:
    """Count labels by true grade (rows) and most probable predicted grade (columns), shape (3, 3)."""
    counts = np.zeros((len(GRADES), len(GRADES)), np.int64)
    np.add.at(counts, (grades, probabilities.argmax(-1)), 1)
    return counts


def reliability(probabilities: Floats, grades: Ints, grade: int) -> Reliability:
    """Compare the probabilities of a grade with how often it is right.

    Labels count by their true grade as in the score (1, 2, 4): predictions that are made for that score are reliable
    in this sense, and in no other.

    Parameters
    ----------
    probabilities : ndarray, shape (R, 3)
        Predictions.
    grades : ndarray, shape (R)
        Labels.
    grade : int
        The grade that is looked at, 0 to 2.
    """
    probability, weight = probabilities[:, grade], np.asarray(GRADE_WEIGHTS)[grades]
    index = np.minimum((probability * BINS).astype(int), BINS - 1)
    count = np.bincount(index, minlength=BINS)
    total = np.bincount(index, weight, BINS)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(index, weight * probability, BINS) / total
        observed = np.bincount(index, weight * (grades == grade), BINS) / total
    error = float(np.nansum(total * np.abs(predicted - observed)) / max(total.sum(), 1e-9))
    few: NDArray[np.bool_] = count < MIN_LABELS
    return Reliability(np.where(few, np.nan, predicted), np.where(few, np.nan, observed), error)


def reliability_chart(name: str, title: str, probabilities: Floats, grades: Ints) -> Markup:
    """Draw the reliability curves of the three grades.

    Parameters
    ----------
    name : str
        Of the figure, unique on the page.
    title : str
        What stands above it.
    probabilities, grades
        As `reliability`.
    """
    curves = [reliability(probabilities, grades, grade) for grade in range(len(GRADES))]
    errors = ", ".join(f"{grade} {curve.error:.3f}" for grade, curve in zip(GRADES, curves, strict=True))
    with draw(name, f"Reliability, {title}. Expected calibration error: {errors}.", title) as chart:
        axes = chart.axes
        axes.plot([0, 1], [0, 1], color="#8a929e", linewidth=1, linestyle="--")
        for grade, curve, colour in zip(GRADES, curves, GRADE_COLOURS, strict=True):
            drawn = ~np.isnan(curve.predicted)
            axes.plot(curve.predicted[drawn], curve.observed[drawn], "o-", color=colour, markersize=4,
                      label=f"{grade} ({curve.error:.2f})")  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted probability", ylabel="weighted share that is right")
        axes.legend(loc="upper left")
    return chart.svg
