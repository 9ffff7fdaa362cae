"""Axial classification: per study and level, the level's crops of the axial (and, by `parts`, sagittal) series."""

from __future__ import annotations

from lumbar.items import batch_to_device
from lumbar.level_items import LevelDataset as CustomDataset
from lumbar.level_items import collate_levels

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]

tr_collate_fn = val_collate_fn = collate_levels
