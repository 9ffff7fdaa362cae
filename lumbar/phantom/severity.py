"""Which grades the phantom's patients have, and what the readers wrote down.

Grades follow the shares of the real training data. They are drawn by a Gaussian copula, so that the conditions and
levels of one patient go together, and by systematic sampling over the patients, so that even a small phantom has the
shares of the whole: every grade appears as often as its share allows, rounded up or down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import CONDITION_PARTS, CONDITIONS, GRADE_SHARES, LEVELS, MISSING, PARTS, TARGETS

PATIENT, PATIENT_LEVEL, PATIENT_PART, BOTH_SIDES = 0.3, 0.2, 0.1, 0.2
"""Variance of the latent severity that is shared by all targets of a patient, by the targets of one level, by those
of one condition group, and by left and right of a condition at a level; the rest to 1 is the target's own. Chosen so
that left and right go together strongly (0.8), conditions of a level less (0.5), neighbouring levels less still (0.4),
as radiologists find them; the real data publishes no such figure."""

READER_NOISE: Final = 0.12
"""Standard deviation of the reader's error in units of the latent severity. It moves about 4 % of the labels to the
neighbouring grade, most where the grades are evenly shared, and leaves the shares as they are."""

MISSING_TOGETHER: Final = 0.8
"""Variance that the levels of a condition group share in what goes ungraded: an axial stack that starts too low
misses the upper levels of both sides."""


@dataclass(frozen=True)
class Grading:
    """Grades of a group of patients, columns in the order of `lumbar.anatomy.TARGETS`.

    Parameters
    ----------
    true : ndarray of int, shape (N, 25)
        What the anatomy shows: 0, 1 or 2.
    labels : ndarray of int, shape (N, 25)
        What was written down: a few percent one grade off, some `MISSING`.
    """

    true: NDArray[np.int64]
    labels: NDArray[np.int64]


def sample_grades(count: int, rng: np.random.Generator) -> Grading:
    """Draw the grades of `count` patients.

    Parameters
    ----------
    count : int
        Number of patients, N.
    rng : Generator
        Source of all randomness.
    """
    severity = _severity(count, rng)
    offset = rng.random(severity.shape[1:])
    shares = np.array([GRADE_SHARES[CONDITION_PARTS[condition]] for condition in CONDITIONS])  # (5, 5, 3)
    graded = shares.sum(axis=-1)
    bounds = np.cumsum(shares, axis=-1) / graded[..., None]
    true = _grade(severity, offset, bounds)
    read = _grade(severity + READER_NOISE * rng.standard_normal(severity.shape), offset, bounds)
    labels = np.where(_ungraded(count, 1 - graded, rng), MISSING, np.clip(read, true - 1, true + 1))
    return Grading(true.reshape(count, len(TARGETS)), labels.reshape(count, len(TARGETS)))


def _severity(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Latent severity per patient, condition and level (N, 5, 5): standard normal, correlated as the module says."""
    part = np.array([PARTS.index(CONDITION_PARTS[condition]) for condition in CONDITIONS])
    own = 1 - PATIENT - PATIENT_LEVEL - PATIENT_PART - BOTH_SIDES
    shape = (count, len(CONDITIONS), len(LEVELS))
    return (
        np.sqrt(PATIENT) * rng.standard_normal((count, 1, 1))
        + np.sqrt(PATIENT_LEVEL) * rng.standard_normal((count, 1, len(LEVELS)))
        + np.sqrt(PATIENT_PART) * rng.standard_normal((count, len(PARTS), 1))[:, part]
        + np.sqrt(BOTH_SIDES) * rng.standard_normal((count, len(PARTS), len(LEVELS)))[:, part]
        + np.sqrt(own) * rng.standard_normal(shape)
    )


def _quantiles(latent: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread each column evenly over 0..1 in the order of its values: one patient in every 1/N (systematic)."""
    rank = latent.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return (rank + offset) / max(1, len(latent))


def _grade(
    severity: NDArray[np.float64], offset: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.int64]:
    quantile = _quantiles(severity, offset)
    return (quantile >= bounds[..., 0]).astype(np.int64) + (quantile >= bounds[..., 1])


def _ungraded(count: int, share: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Where no grade was written down (N, 5, 5): both sides together, neighbouring levels often."""
    part = np.array([PARTS.index(CONDITION_PARTS[condition]) for condition in CONDITIONS])
    latent = np.sqrt(MISSING_TOGETHER) * rng.standard_normal((count, len(PARTS), 1)) + np.sqrt(
        1 - MISSING_TOGETHER
    ) * rng.standard_normal((count, len(PARTS), len(LEVELS)))
    quantile = _quantiles(latent, rng.random(latent.shape[1:]))[:, part]
    return quantile >= 1 - share
