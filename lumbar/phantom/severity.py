"""Which grades the phantom's patients have, what the readers wrote down, and what a grade is in millimetres.

Grades follow the shares of the real training data. They are drawn by a Gaussian copula, so that the conditions and
levels of one patient go together, and by systematic sampling over the patients, so that even a small phantom has the
shares of the whole: every grade appears as often as its share allows, rounded up or down.
"""

from __future__ import annotations

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

Ranges = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Lowest and highest value of a measure in each of the three grades.

The literature gives thresholds, readers disagree around them: the ranges of neighbouring grades overlap at their
edges, so that no network can be perfect, and the bulk of each range is apart, so that every network can learn.
"""

SAC_AREA: Final[Ranges] = ((98.0, 205.0), (70.0, 106.0), (26.0, 78.0))
"""Cross-section of the dural sac at the disc, mm², by grade of spinal canal stenosis.

Schönström, Bolender & Spengler (Spine 1985): above 100 normal, 75-100 moderate, below 75 severe stenosis; Schizas et
al. (Spine 2010) set their grades A to D beside these limits.
"""

SAC_SHAPE: Final[Ranges] = ((1.35, 1.65), (1.45, 1.75), (1.5, 1.9))
"""Width over antero-posterior diameter of the sac by grade: with the areas above, diameters of 8.7-14, 7.1-9.7 and
4.2-8.1 mm. Verbiest (J Bone Joint Surg Br 1954; Orthop Clin North Am 1975): below 12 relative, below 10 mm absolute
stenosis."""

FORAMEN_WIDTH: Final[Ranges] = ((6.4, 10.5), (3.3, 6.7), (0.6, 3.5))
"""Antero-posterior width of the foramen's fat-filled opening, mm, by grade of foraminal narrowing.

Hasegawa et al. (J Bone Joint Surg Am 1995) and Torun et al. (Surg Neurol 2006): 7-11 mm in normal lumbar foramina.
Wildermuth et al. (Radiology 1998) and Lee et al. (AJR 2010) grade by the fat that is left around the root: all,
part (moderate), none with a flattened root (severe).
"""

FORAMEN_HEIGHT: Final[Ranges] = ((17.0, 22.0), (13.0, 17.5), (8.5, 13.5))
"""Cranio-caudal height of the same opening, mm. Hasegawa et al. 1995: below 15 mm the root was often compressed."""

RECESS_HEIGHT: Final[Ranges] = ((4.8, 8.0), (2.8, 5.2), (0.4, 3.1))
"""Antero-posterior height of the lateral recess at the disc, mm, by grade of subarticular stenosis.

Ciric et al. (J Neurosurg 1980) and Mikhael et al. (Radiology 1981): above 5 normal, 3-5 suspicious, below 3 mm
stenotic.
"""


def within(ranges: Ranges, grade: int, share: float) -> float:
    """Take a value from a grade's range, in its unit.

    A share of 0 is the value furthest from disease, 1 the one nearest; the same share in a higher grade is always the
    more diseased value.
    """
    low, high = ranges[grade]
    return high - share * (high - low)


def sample_grades(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the grades of `count` patients.

    Returns
    -------
    ndarray of int, shape (count, 25)
        What the anatomy shows: 0, 1 or 2; columns in the order of `lumbar.anatomy.TARGETS`.
    ndarray of int, shape (count, 25)
        What was written down: a few percent one grade off, some `MISSING`.
    """
    part = [PARTS.index(CONDITION_PARTS[condition]) for condition in CONDITIONS]
    severity = (  # latent, (count, 5, 5): standard normal, correlated as the constants say
        np.sqrt(PATIENT) * rng.standard_normal((count, 1, 1))
        + np.sqrt(PATIENT_LEVEL) * rng.standard_normal((count, 1, len(LEVELS)))
        + np.sqrt(PATIENT_PART) * rng.standard_normal((count, len(PARTS), 1))[:, part]
        + np.sqrt(BOTH_SIDES) * rng.standard_normal((count, len(PARTS), len(LEVELS)))[:, part]
        + np.sqrt(1 - PATIENT - PATIENT_LEVEL - PATIENT_PART - BOTH_SIDES)
        * rng.standard_normal((count, len(CONDITIONS), len(LEVELS)))
    )
    offset = rng.random(severity.shape[1:])
    shares = np.array([GRADE_SHARES[CONDITION_PARTS[condition]] for condition in CONDITIONS])  # (5, 5, 3)
    graded = shares.sum(axis=-1)
    bounds = np.cumsum(shares, axis=-1) / graded[..., None]

    def grade(severity: NDArray[np.float64]) -> NDArray[np.int64]:
        return (_quantiles(severity, offset)[..., None] >= bounds[..., :2]).sum(axis=-1)

    true = grade(severity)
    read = grade(severity + READER_NOISE * rng.standard_normal(severity.shape))
    latent = np.sqrt(MISSING_TOGETHER) * rng.standard_normal((count, len(PARTS), 1))
    latent = latent + np.sqrt(1 - MISSING_TOGETHER) * rng.standard_normal((count, len(PARTS), len(LEVELS)))
    ungraded = _quantiles(latent, rng.random(latent.shape[1:]))[:, part] >= graded  # both sides together
    labels = np.where(ungraded, MISSING, np.clip(read, true - 1, true + 1))
    return true.reshape(count, len(TARGETS)), labels.reshape(count, len(TARGETS))


def _quantiles(latent: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread each column evenly over 0..1 in the order of its values: one patient in every 1/N (systematic)."""
    rank = latent.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return (rank + offset) / max(1, len(latent))
