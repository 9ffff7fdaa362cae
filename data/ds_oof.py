"""Out-of-fold predictions: a study with what every model of the ensemble predicts for its 25 targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from lumbar.config import Config
from lumbar.grades.oof import check_overlap, gather
from lumbar.items.augment import Augmentation, Mode
from lumbar.items.base import ItemDataset, Row, batch_to_device, stack_rows
from lumbar.labels.human import StudyGrades

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]


class CustomDataset(ItemDataset):
    """One item per study of which any model predicted anything, labelled or not.

    An item holds `probabilities` (models, 25, 3), NaN where missing, `target` (25), -100 where missing, and
    `study_id`.
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode)
        study_id, probabilities = gather(cfg, df)
        grades = StudyGrades(df).grades
        if self.training:
            check_overlap(cfg, probabilities, grades)
        known = ~np.isnan(probabilities).all((1, 2, 3))
        self.study_id = study_id[known]
        self.items = {
            "probabilities": torch.from_numpy(probabilities[known]).float(),
            "target": torch.from_numpy(grades[known]),
            "study_id": torch.from_numpy(self.study_id),
        }

    def __len__(self) -> int:
        return len(self.study_id)

    def __getitem__(self, index: int) -> Row:
        return {key: values[index] for key, values in self.items.items()}


tr_collate_fn = val_collate_fn = stack_rows
