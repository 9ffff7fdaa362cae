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
    `study_id`; when training also `n_studies`, the number of items. Then each model is hidden with the probability
    `cfg.oof_dropout`, though never all of them, so that the network knows what to do without.
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode)
        study_id, probabilities = gather(cfg, df)
        grades = StudyGrades(df).grades
        if self.training:
            check_overlap(cfg, probabilities, grades)
        predicted = np.any(~np.isnan(probabilities[..., 0]), axis=2)  # (N, models)
        known = np.any(predicted, axis=1)
        self.predicted = predicted[known]
        self.study_id = study_id[known]
        self.items = {
            "probabilities": torch.from_numpy(probabilities[known]).float(),
            "target": torch.from_numpy(grades[known]),
            "study_id": torch.from_numpy(self.study_id),
        }
        if self.training:
            self.items["n_studies"] = torch.full((len(self),), len(self))

    def __len__(self) -> int:
        return len(self.study_id)

    def __getitem__(self, index: int) -> Row:
        item = {key: values[index] for key, values in self.items.items()}
        if self.training:
            kept = self.predicted[index] & (self.rng(index).random(self.predicted.shape[1]) >= self.cfg.oof_dropout)
            if kept.any():
                item["probabilities"] = item["probabilities"].where(torch.from_numpy(kept)[:, None, None], torch.nan)
        return item


tr_collate_fn = val_collate_fn = stack_rows
