"""Millimetre ranges behind each grade: what "moderate" means in the phantom's anatomy.

The literature gives thresholds, readers disagree around them: the ranges of neighbouring grades overlap at their
edges, so that no network can be perfect, and the bulk of each range is apart, so that every network can learn.
"""

from __future__ import annotations

from typing import Final

Range = tuple[float, float]
Ranges = tuple[Range, Range, Range]

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
    """Take a value from a grade's range.

    Parameters
    ----------
    ranges : three (low, high)
        One of the constants above.
    grade : int
        0, 1 or 2.
    share : float
        0 for the value furthest from disease, 1 for the one nearest; the same share in a higher grade is always the
        more diseased value.

    Returns
    -------
    float
        A value, in the unit of the range.
    """
    low, high = sorted(ranges[grade])
    return high - share * (high - low)
