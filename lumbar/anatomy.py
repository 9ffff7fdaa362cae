"""Levels, grades, conditions and the 25 targets: the competition's vocabulary, written down once.

Every other module takes names and orders from here. The orders are part of the file formats (columns of
``train.csv``, heads of the networks, rows of a submission), so they never change.
"""

from __future__ import annotations

from typing import Final

LEVELS: Final = ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
"""The five lumbar discs, from the head down, as they stand in column names."""

LEVEL_LABELS: Final = ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
"""The five levels as ``train_label_coordinates.csv`` writes them."""

VERTEBRAE: Final = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
"""Vertebrae between which level points are taken, from the head down."""

GRADES: Final = ("Normal/Mild", "Moderate", "Severe")
"""Grade names; a grade's index (0, 1, 2) is the class index of every network."""

GRADE_COLUMNS: Final = ("normal_mild", "moderate", "severe")
"""The three grades as columns of a submission."""

GRADE_WEIGHTS: Final = (1.0, 2.0, 4.0)
"""Sample weight of each true grade in the competition's metric and in the training loss."""

MISSING: Final = -100
"""Label of a target that was not graded (the ``ignore_index`` of a cross-entropy)."""

SAGITTAL_T1: Final = "Sagittal T1"
SAGITTAL_T2: Final = "Sagittal T2/STIR"
AXIAL_T2: Final = "Axial T2"

SERIES_TYPES: Final = (SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2)
"""Series descriptions, in the order of the condition index."""

NFN, SCS, SS = "nfn", "scs", "ss"
"""Short names of the condition groups: neural foraminal narrowing, spinal canal stenosis, subarticular stenosis."""

PARTS: Final = (NFN, SCS, SS)
"""Condition groups by condition index: 0 is read on Sagittal T1, 1 on Sagittal T2/STIR, 2 on Axial T2."""

CONDITIONS: Final = (
    "spinal_canal_stenosis",
    "left_neural_foraminal_narrowing",
    "right_neural_foraminal_narrowing",
    "left_subarticular_stenosis",
    "right_subarticular_stenosis",
)
"""The five conditions in target order; five levels of each make the 25 targets."""

CONDITION_PARTS: Final = dict(zip(CONDITIONS, (SCS, NFN, NFN, SS, SS), strict=True))
"""Condition group of each condition."""

TARGETS: Final = tuple(f"{condition}_{level}" for condition in CONDITIONS for level in LEVELS)
"""The 25 targets of a study = the label columns of ``train.csv`` and the row suffixes of a submission."""


GRADE_SHARES: Final = {
    SCS: ((0.955, 0.034, 0.011), (0.896, 0.076, 0.027), (0.821, 0.116, 0.062), (0.750, 0.120, 0.129),
          (0.964, 0.026, 0.010)),
    NFN: ((0.962, 0.032, 0.004), (0.907, 0.086, 0.004), (0.768, 0.209, 0.021), (0.611, 0.318, 0.068),
          (0.640, 0.257, 0.100)),
    SS: ((0.853, 0.051, 0.013), (0.793, 0.126, 0.039), (0.670, 0.230, 0.099), (0.450, 0.315, 0.233),
                (0.711, 0.204, 0.081)),
}  # fmt: skip
"""Share of each grade per condition group and level in the real training data; the rest to 1 is missing.

Left and right of a condition have the same shares. Source: the competition's ``train.csv``.
"""


def condition_title(condition: str) -> str:
    """Write a condition as ``train_label_coordinates.csv`` does.

    Parameters
    ----------
    condition : str
        One of `CONDITIONS`, for example ``left_subarticular_stenosis``.

    Returns
    -------
    str
        For example ``Left Subarticular Stenosis``.
    """
    return condition.replace("_", " ").title()


CONDITION_BY_TITLE: Final = {condition_title(condition): condition for condition in CONDITIONS}
"""Condition by the title that ``train_label_coordinates.csv`` uses."""
