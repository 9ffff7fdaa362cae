"""Which config does what in the whole order of work.

The graph of steps, the aggregations, prediction and the ensemble all read this: a further classifier is its config file
and its name in `CLASSIFIERS`.
"""

from typing import Final

AXIAL, SAGITTAL, SLICES = "cfg_dh_05b5_loc", "cfg_dh_14p2_locsag", "cfg_dh_14s10a_locsag"
"""The localisers: axial xy, sagittal xy, sagittal z."""

INFERENCE: Final = {AXIAL: "cfg_dh_05b5_loc_test2", SAGITTAL: "cfg_dh_14p2_locsag_test"}
"""Configs that run the xy localisers on every slice."""

CLASSIFIERS: Final[tuple[str, ...]] = ("cfg_dh_12y8", "cfg_dh_29a2", "cfg_dh_29g")
MLP: Final = "cfg_mlp"
"""The ensemble of the classifiers."""
