"""Axial classification: per study and level, the level's crops of the axial (and, by `parts`, sagittal) series."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import NFN, SCS, SS
from lumbar.images.slices import Ints
from lumbar.images.volumes import Pixels
from lumbar.items.base import batch_to_device
from lumbar.items.level_items import LevelDataset, collate_levels, level_key

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]

MIRRORED_SHARE: Final = 0.5
"""Share of axial sequences that `cfg.mirror` turns over."""


class CustomDataset(LevelDataset):
    """Items whose sequences training shortens to a random stretch; with `cfg.mirror` it also turns axial ones over.

    With `cfg.unmapped_items` a level that is found on a sagittal series, but on no axial one, is a training item too.
    It yields no row, so that there are more steps in an epoch, and fewer rows in a batch.
    """

    def further_items(self, df: pd.DataFrame) -> Ints:
        """Study and level of what the sagittal series show, whether an item reads them or not."""
        if not self.cfg.unmapped_items:
            return super().further_items(df)
        sagittal = [self.make_sequences(part, df) for part in (NFN, SCS) if part not in self.sequences]
        return np.concatenate([super().further_items(df), *(level_key(each.study_id, each.level) for each in sagittal)])

    def choose_slices(self, part: str, rows: Ints, rng: np.random.Generator) -> tuple[Ints, bool]:
        """Take a stretch of each sequence."""
        return random_stretch(rows, self.cfg.stretch, rng), False

    def turn_images(self, part: str, images: Pixels, rng: np.random.Generator) -> tuple[Pixels, bool]:
        """Mirror some axial crops; a turned crop has the patient's left above."""
        mirrored = part == SS and self.cfg.mirror and rng.random() < MIRRORED_SHARE
        return (images[:, ::-1], True) if mirrored else (images, False)


tr_collate_fn = val_collate_fn = collate_levels


def random_stretch(rows: Ints, shares: tuple[float, float], rng: np.random.Generator) -> Ints:
    """Draw a contiguous stretch of a sequence: a uniform share of its length, rounded up to whole slices."""
    length = math.ceil(len(rows) * rng.uniform(*shares))
    start = rng.integers(len(rows) - length + 1)
    return rows[start : start + length]
