"""Sagittal slices: which slices of a series show the left foramina, the right foramina and the spinal canal."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import unpack_sequence

from lumbar.config import Config
from lumbar.nets.blocks import Batch, SequenceNet, bidirectional_lstm, choose, localiser_output, pack
from lumbar.nets.losses import weighted_mean

TYPICAL_SLICES: Final = 20.0
"""Length that gives a series weight 1 (published model)."""

COUNTED: Final = (0, 1, 2, 2)
"""Columns of the loss: left_nfn, right_nfn, and scs twice, as much as both sides together."""

POWERS: Final = {"l1": 1, "l2": 2}
"""`cfg.count_objective`: power of the error that is averaged; l1 is the published one.

An L1 prediction is a median, 0 as long as a slice is more likely than not to show nothing: a network that has seen few
series never leaves it.
"""


class Net(SequenceNet):
    """Slices -> backbone -> bidirectional LSTM -> number of annotated points of three kinds on every slice."""

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.power = choose("count_objective", cfg.count_objective, POWERS)
        self.rnn = bidirectional_lstm(self.features, cfg.hidden_dim)
        self.head = nn.Linear(2 * cfg.hidden_dim, cfg.n_classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Rate the slices of a batch.

        Parameters
        ----------
        batch : mapping
            `input` (B, S, 1, H, W), `mask` (B, S), `series_id` (B), `instance_numbers` (B, S); with annotations
            `target` (B, S, 3) points on the slice for left_nfn, right_nfn, scs, and `target_mask` (B, S, 3).

        Returns
        -------
        dict
            With targets `loss`, `n_valid` and the un-weighted `loss_l1`, `loss_l1_nfn`, `loss_l1_scs` (NaN without
            any label); in eval mode one row per real slice: `logits` (T, 3) and what the rows are.
        """
        features, rows = self.encode_slices(batch)
        packed, _ = self.rnn(pack(features.split(batch["mask"].sum(1).tolist())))
        logits = self.head(torch.cat(unpack_sequence(packed))).float()  # (T, 3), row after row
        real = batch["mask"].bool()
        per_slice = {key: batch[key][real] for key in ("instance_numbers", "target", "target_mask") if key in batch}
        output = {}
        if "target" in batch:
            labelled = (batch["target_mask"].any(2) & real).sum(1)  # (B) slices of each series
            weight = labelled[rows] / TYPICAL_SLICES
            output = self._losses(logits, per_slice["target"], per_slice["target_mask"], weight)
        if not self.training:
            output |= localiser_output({**per_slice, "series_id": batch["series_id"][rows]}, logits)
        return output

    def _losses(self, logits: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Average errors (T, 3) where `mask` (T, 3) is 1; `weight` (T) is for the loss that is trained alone."""
        error, counted = (logits - target).abs()[:, COUNTED], mask[:, COUNTED]
        nfn, scs = (weighted_mean(error[:, kind], counted[:, kind]) for kind in (slice(0, 2), slice(2, 4)))
        return {
            "loss": weighted_mean(error**self.power, weight[:, None] * counted, counted).value,
            "loss_l1": weighted_mean(error, counted).report(),
            # Of a batch that shows one kind alone, that kind stands for both.
            "loss_l1_nfn": torch.where(nfn.defined, nfn.value, scs.report()).detach(),
            "loss_l1_scs": torch.where(scs.defined, scs.value, nfn.report()).detach(),
            "n_valid": mask.sum(),
        }
