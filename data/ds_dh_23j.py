"""All conditions from axial slices: the axial items of `ds_dh_23a` with the sagittal labels of the same level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data import ds_dh_23a
from lumbar.anatomy import MISSING, NFN, PARTS, SCS, SERIES_TYPES
from lumbar.config import Config
from lumbar.images.slices import Ints
from lumbar.items.augment import Augmentation, Mode
from lumbar.items.base import batch_to_device
from lumbar.items.level_items import collate_levels
from lumbar.labels.human import StudyGrades

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]


class CustomDataset(ds_dh_23a.CustomDataset):
    """Items with `nfn_label` (2: left, right), `scs_label` (1), and the series that they are reported under.

    `nfn_series_id` and `scs_series_id` are those of the study's first such series, or `cfg.dummy_series_id`, with
    labels -100, when it has none.
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode)
        self.grades = StudyGrades(df)
        self.first_series = {
            part: df[df["series_description"] == SERIES_TYPES[PARTS.index(part)]]
            .drop_duplicates("study_id")
            .set_index("study_id")["series_id"]
            .to_dict()
            for part in (NFN, SCS)
        }

    def further_entries(self, part: str, number: int, rows: Ints) -> dict[str, Any]:
        """Give the sagittal labels of a row's study and level."""
        study, level = (getattr(self.sequences[part], name)[[number]] for name in ("study_id", "level"))
        result: dict[str, Any] = {}
        for sagittal, width in ((NFN, 2), (SCS, 1)):
            series = self.first_series[sagittal].get(int(study[0]))
            label = self.grades.pairs(sagittal, study, level)[0, :width]
            result[f"{sagittal}_label"] = np.full_like(label, MISSING) if series is None else label
            result[f"{sagittal}_series_id"] = self.cfg.dummy_series_id if series is None else series
        return result


tr_collate_fn = val_collate_fn = collate_levels
