"""Axial localisation: each annotated axial slice with its left and right subarticular point, all levels together."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from lumbar.anatomy import AXIAL_T2, SS
from lumbar.config import Config
from lumbar.images.slices import Floats, Ints, SliceIndex
from lumbar.items.augment import Augmentation, Mode
from lumbar.items.base import batch_to_device, stack_rows
from lumbar.items.localiser_items import PointDataset
from lumbar.labels.misplaced import IN_CORNER, at_border

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]

_log = logging.getLogger(__name__)


class CustomDataset(PointDataset):
    """One item per axial slice on which a human marked a lateral recess.

    An item holds `input` (H, W) uint8, `target` (4) normalised x_left y_left x_right y_right, `target_mask` (4),
    `series_id` and `instance_numbers`.
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode, (AXIAL_T2,))

    def annotate(self, slices: SliceIndex) -> tuple[Ints, Floats]:
        """Take the annotated slices; several points of one side on one slice count as their mean.

        Clicks into a corner of the image are left out, counted in the log.
        """
        marked = self.read_human_points()
        row = slices.find(marked["series_id"], marked["instance_number"])
        known = (row >= 0) & (marked["part"] == SS).to_numpy()
        marked, row = marked[known], row[known]
        corner = at_border(marked[["x", "y"]], slices.size[row]) == IN_CORNER
        if corner.any():
            _log.warning("axial slices: %d human points are left out, being %s", corner.sum(), IN_CORNER)
        marked, row = marked[~corner], row[~corner]
        rows, item = np.unique(row, return_inverse=True)
        place = item, marked["side"].to_numpy(np.int64)
        total, count = np.zeros((len(rows), 2, 2)), np.zeros((len(rows), 2, 1))
        np.add.at(total, place, marked[["x", "y"]].to_numpy(np.float64))
        np.add.at(count, place, 1)
        return rows, np.where(count > 0, total / np.maximum(count, 1), np.nan)


tr_collate_fn = val_collate_fn = stack_rows
