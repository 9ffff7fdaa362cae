"""Axial localisation, inference: every slice of every axial series."""

from __future__ import annotations

from typing import Final

import numpy as np

from data import ds_dh_4a2
from data.ds_dh_4a2 import batch_to_device, tr_collate_fn, val_collate_fn
from lumbar.localiser_items import Floats, Ints
from lumbar.slices import SliceIndex

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]

DUMMY: Final = np.array([[50.0, 60.0], [70.0, 80.0]])
"""Left and right point of every slice, pixels: there is nothing to compare with, but a loss needs a target."""


class CustomDataset(ds_dh_4a2.CustomDataset):
    """One item per axial slice, as `ds_dh_4a2` makes them, with dummy targets."""

    def annotate(self, slices: SliceIndex) -> tuple[Ints, Floats]:
        """Take all slices."""
        return np.arange(len(slices)), np.broadcast_to(DUMMY, (len(slices), *DUMMY.shape))
