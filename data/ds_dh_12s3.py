"""Sagittal classification: per study and level, the level's crops of the T1 (foramina) and T2/STIR (canal) series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lumbar.items import batch_to_device
from lumbar.level_items import LevelDataset, collate_levels

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]


class CustomDataset(LevelDataset):
    """Items with `slicelocation` (S): how far each slice lies from right to left, mm from -`slicelocation_clip`."""

    def extra(self, part: str, number: int, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Give the slices' patient x; a slice of unknown position counts as central."""
        reach = self.cfg.slicelocation_clip
        x = np.nan_to_num(self.sequences[part].slices.position[rows, 0])
        return {"slicelocation": np.rint(x.clip(-reach, reach) + reach).astype(np.int64)}


tr_collate_fn = val_collate_fn = collate_levels
