"""Sagittal localisation: each sagittal slice between four neighbours, with the points of the five levels."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import torch

from lumbar import tables
from lumbar.anatomy import LEVELS, SAGITTAL_T1, SAGITTAL_T2
from lumbar.config import Config
from lumbar.images.slices import Floats, Ints, SliceIndex
from lumbar.items.augment import Augmentation, Mode
from lumbar.items.base import Row, batch_to_device, stack_rows
from lumbar.items.localiser_items import PointDataset
from lumbar.items.sequences import level_numbers

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]

NEIGHBOURS: Final = 2
"""Slices on each side that become channels."""

MASK_RANGE: Final = (0.01, 0.99)
"""Soft targets of the mask head: no slice is certain."""


class CustomDataset(PointDataset):
    """One item per slice of the sagittal series that have stage-1 labels; with `cfg.full_test_set`, of all.

    An item holds `input` (5, H, W) uint8, `target` (10) normalised x, y per level, `target_mask` (10), `input_mask`
    (the share of the 10 that is annotated), `series_id` and `instance_numbers`.
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode, (SAGITTAL_T1, SAGITTAL_T2), NEIGHBOURS)

    def annotate(self, slices: SliceIndex) -> tuple[Ints, Floats]:
        """Take all slices of the series wanted; those without a label are items with every point masked."""
        labels = self.read_table(tables.SAGITTAL_LABELS, self.cfg.sag_labels_table, optional=True)
        row = slices.find(labels["series_id"], labels["instance_number"])
        labels, row = labels[row >= 0], row[row >= 0]
        points = np.full((len(slices), len(LEVELS), 2), np.nan)
        points[row, level_numbers(labels)] = labels[["x", "y"]].to_numpy(np.float64)
        if self.cfg.full_test_set or self.mode == "test":
            return np.arange(len(slices)), points
        labelled = np.flatnonzero(np.isin(slices.series_id, labels["series_id"]))
        return labelled, points[labelled]

    def placeholder(self, width: int, height: int) -> tuple[float, float]:
        """Half the height on both axes, as published."""
        return height / 2, height / 2

    def __getitem__(self, index: int) -> Row:
        """Read an item."""
        item = super().__getitem__(index)
        return item | {"input_mask": item["target_mask"].to(torch.float32).mean().clamp(*MASK_RANGE)}


tr_collate_fn = val_collate_fn = stack_rows
