"""Sagittal z localisation: each sagittal series cropped to the lumbar spine, with the marked points on each slice."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from lumbar import tables
from lumbar.anatomy import SAGITTAL_T1, SAGITTAL_T2
from lumbar.config import Config
from lumbar.items.augment import Augmentation, Mode
from lumbar.items.base import ItemDataset, Row, as_tensors, batch_to_device, pad_rows
from lumbar.items.sagittal_crops import lumbar_sequences
from lumbar.labels.human import point_column

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]

KINDS: Final = 3
"""Columns of the target: left foramen, right foramen, canal."""


class CustomDataset(ItemDataset):
    """One item per sagittal series with predicted level points: all its slices, from the patient's right to left.

    Training takes those alone on which a human marked a foramen or the canal.

    An item holds `input` (S, 1, H, W) uint8, `target` (S, 3): how many left and right foramina and canals a human
    marked on each slice, `target_mask` (S, 3): 1 for a column with any mark in the series, `series_id` and
    `instance_numbers` (S).
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode)
        slices = self.load_slices(df[df["series_description"].isin((SAGITTAL_T1, SAGITTAL_T2))])
        self.sequences = lumbar_sequences(self.read_table(tables.SAGITTAL_XY, cfg.sag_xy_table), slices)
        points = self.read_human_points()
        row, kind = slices.find(points["series_id"], points["instance_number"]), point_column(points)
        known = (row >= 0) & (kind >= 0)
        self.counts = np.zeros((len(slices), KINDS), dtype=np.float32)
        np.add.at(self.counts, (row[known], kind[known]), 1)
        if self.training:
            marked = np.isin(self.sequences.series_id, slices.series_id[row[known]])
            self.sequences = self.sequences.take(marked)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Row:
        """Read a series."""
        sequences = self.sequences
        rows = sequences.slice_rows(index)
        width, height = sequences.size[index].tolist()
        images = sequences.read(self.store, index, rows, (height, width))  # the published crop comes at this size
        if self.aug is not None:
            images, _ = self.aug(images, self.rng(index))
        target = self.counts[rows]
        return as_tensors(
            {
                "input": images[:, None],
                "target": target,
                "target_mask": np.broadcast_to(target.any(axis=0), target.shape).astype(np.int64),
                "series_id": sequences.series_id[index],
                "instance_numbers": sequences.slices.instance[rows],
            }
        )


def tr_collate_fn(rows: list[Row]) -> Row:
    """Make a batch; series are padded to the longest, `mask` (B, S) is 1 on real slices."""
    return pad_rows(rows, ("input", "target", "target_mask", "instance_numbers"))


val_collate_fn = tr_collate_fn
