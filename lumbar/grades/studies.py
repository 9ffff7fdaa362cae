"""From predictions of single series and levels to the 25 targets of each study."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lumbar.anatomy import CONDITIONS, GRADES, LEVELS, MISSING, PARTS, TARGETS
from lumbar.grades.scoring import PART_COLUMNS
from lumbar.labels.human import PART_CONDITIONS, StudyGrades


class StudyPredictions(NamedTuple):
    """What is known about the 25 targets of each study."""

    study_id: NDArray[np.int64]
    """(N), ascending."""
    logits: NDArray[np.float64]
    """(N, 25, 3); 0 where nothing was predicted."""
    target: NDArray[np.int64]
    """(N, 25); -100 where missing."""
    predicted: NDArray[np.bool_]
    """(N, 25)."""

    def output(self) -> dict[str, Tensor]:
        """Give what a post-processing returns: `logits` (N, 25, 3), `target`, `predicted` (N, 25), `study_id` (N)."""
        return {
            "logits": torch.from_numpy(self.logits.astype(np.float32)),
            "target": torch.from_numpy(self.target),
            "predicted": torch.from_numpy(self.predicted),
            "study_id": torch.from_numpy(self.study_id),
        }


def gather_studies(val_data: Mapping[str, Tensor], val_df: pd.DataFrame, parts: Collection[str]) -> StudyPredictions:
    """Average the logits of all series that show the same target of the same study.

    Parameters
    ----------
    val_data : mapping
        A classifier's rows: `study_id`, `level`, `condition` (R), `logits` (R, 2, 3) and `target` (R, 2), left and
        right (canal stenosis has no sides and is read from the left).
    val_df : DataFrame
        Rows of the fold file; its studies appear in the result even when nothing was predicted for them.
    parts : collection of str
        Condition groups to take, of ``nfn scs ss``; rows of others are left out.
    """
    rows = {key: val_data[key].cpu().numpy() for key in ("study_id", "level", "condition", "logits")}
    labels = val_data["target"].cpu().numpy() if "target" in val_data else np.full(rows["logits"].shape[:2], MISSING)
    study_ids = np.union1d(rows["study_id"], val_df["study_id"].to_numpy()).astype(np.int64)
    study = np.searchsorted(study_ids, rows["study_id"])

    total = np.zeros((len(study_ids), len(TARGETS), len(GRADES)))
    count = np.zeros((len(study_ids), len(TARGETS)))
    target = np.full((len(study_ids), len(TARGETS)), MISSING)
    for part in parts:
        shown = rows["condition"] == PARTS.index(part)
        for side, condition in enumerate(PART_CONDITIONS[part]):
            cells = study[shown], CONDITIONS.index(condition) * len(LEVELS) + rows["level"][shown]
            np.add.at(total, cells, rows["logits"][shown, side].astype(np.float64))
            np.add.at(count, cells, 1)
            np.maximum.at(target, cells, labels[shown, side])
    return StudyPredictions(study_ids, total / np.maximum(count, 1)[..., None], target, count > 0)


def fill_levels(studies: StudyPredictions) -> StudyPredictions:
    """Give a level without a prediction that of the nearest level of the same condition and side.

    Of two levels equally near, the one below is taken (a backward fill before a forward fill, as published). Where a
    condition was predicted at no level, it stays without a prediction.
    """
    level = np.arange(len(LEVELS))
    distance = 2 * np.abs(level[:, None] - level) + (level < level[:, None])  # (wanted, source), above loses a tie
    blocks = studies.predicted.reshape(-1, len(CONDITIONS), 1, len(LEVELS))
    source = np.where(blocks, distance, 2 * len(LEVELS) + 1).argmin(-1)  # (N, 5, 5)
    logits = studies.logits.reshape(*source.shape, len(GRADES))
    filled = np.take_along_axis(logits, source[..., None], axis=2).reshape(studies.logits.shape)
    predicted = np.broadcast_to(blocks.any(-1, keepdims=True), blocks.shape).reshape(studies.predicted.shape)
    return studies._replace(logits=filled, predicted=predicted)


def with_full_labels(studies: StudyPredictions, val_df: pd.DataFrame) -> StudyPredictions:
    """Replace the targets by the studies' labels in the fold file: -100 where it has none, or no label columns.

    A condition group of which no study has a prediction is not graded by the network: its targets are missing too.
    """
    known = StudyGrades(val_df)
    target = np.full_like(studies.target, MISSING)
    target[np.searchsorted(studies.study_id, known.study_id)] = known.grades
    for columns in PART_COLUMNS.values():
        if not studies.predicted[:, columns].any():
            target[:, columns] = MISSING
    return studies._replace(target=target)
