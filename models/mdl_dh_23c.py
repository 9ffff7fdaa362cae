"""All grades from axial slices: every condition group in `cfg.model_parts` is read from the same axial sequences."""

from __future__ import annotations

import torch
from torch import Tensor

from lumbar.anatomy import NFN, PARTS, SCS, SS
from lumbar.config import Config
from lumbar.nets.blocks import Batch
from lumbar.nets.grading import GradingNet

TARGETS = {SS: "target", NFN: "nfn_label", SCS: "scs_label"}
SERIES = {SS: "series_id", NFN: "nfn_series_id", SCS: "scs_series_id"}
"""Batch keys per condition group: its labels, and the series that its grades are booked under."""


class Net(GradingNet):
    """Grade every axial row for several condition groups."""

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg, cfg.model_parts)
        self.dummy_series_id = cfg.dummy_series_id

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Grade a batch.

        Parameters
        ----------
        batch : mapping
            As of the other grading networks, and per group the labels (`target` (B, 2), `nfn_label` (B, 2),
            `scs_label` (B, 1)) and the series (`series_id`, `nfn_series_id`, `scs_series_id`, (B)).

        Returns
        -------
        dict
            Losses as of the other grading networks. In eval mode the rows of all groups, one group after the other
            and as if each came from its own series; rows of the dummy series (the study has none) are left out.
        """
        sequences = self.sequences(batch)
        logits = {part: self.grade(part, sequences) for part in self.parts}
        output = {}
        if "target" in batch:
            output = self.losses({part: (logits[part], batch[TARGETS[part]]) for part in self.parts})
        if not self.training:
            parts = [self._rows(part, logits[part], batch) for part in self.parts]
            output |= {key: torch.cat([rows[key] for rows in parts]) for key in parts[0]}
        return output

    def _rows(self, part: str, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        series = batch[SERIES[part]]
        rows = {
            "series_id": series,
            "study_id": batch["study_id"],
            "condition": torch.full_like(series, PARTS.index(part)),
            "level": batch["level_num"],
            "logits": logits,
        }
        if "target" in batch:
            rows["target"] = batch[TARGETS[part]].expand(-1, 2)
        kept = series != self.dummy_series_id
        return {key: value[kept] for key, value in rows.items()}
