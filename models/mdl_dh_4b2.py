"""Sagittal points: where the five lumbar levels lie on one sagittal slice, and whether they are to be seen there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from lumbar.config import Config
from lumbar.nets.blocks import BackboneNet, Batch, choose, localiser_output
from lumbar.nets.losses import weighted_mean

MASK_OBJECTIVES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "l1": F.l1_loss,
    "bce": F.binary_cross_entropy_with_logits,
}
"""`cfg.mask_objective`: raw output (B) against the share of annotated coordinates (B).

'l1': the raw output is the share itself (published). 'bce': it is the logit of a probability, which small networks
learn sooner.
"""


class Net(BackboneNet):
    """Slice with neighbours as channels -> backbone -> `cfg.n_classes` = 10 coordinates and one visibility."""

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.head = nn.Linear(self.features, cfg.n_classes)
        self.head_mask = nn.Linear(self.features, 1)
        self.mask_loss = choose("mask_objective", cfg.mask_objective, MASK_OBJECTIVES)
        self.mask_share = cfg.mask_loss

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Locate the levels of a batch.

        Parameters
        ----------
        batch : mapping
            `input` (B, C, H, W), `series_id` (B), `instance_numbers` (B); with annotations `target` (B, 10)
            normalised x, y per level, `target_mask` (B, 10), and `input_mask` (B), the share of the 10 annotated.

        Returns
        -------
        dict
            With targets `loss`, its parts `loss_xy` (mean squared distance over annotated points, NaN without any)
            and `loss_mask`, and `n_valid`; in eval mode `logits` (B, 10), `logits_mask` (B, 1) and what the rows are.
        """
        features = self.encode(batch["input"])
        logits, logits_mask = self.head(features).float(), self.head_mask(features).float()
        output = {}
        if "target" in batch:
            # Both coordinates of a point are annotated or neither, so half the mask counts points.
            mask = batch["target_mask"]
            xy = weighted_mean((logits - batch["target"]).square(), mask, mask / 2)
            visible = self.mask_loss(logits_mask[:, 0], batch["input_mask"].float())
            output = {
                "loss": (1 - self.mask_share) * xy.value + self.mask_share * visible,
                "loss_xy": xy.report(),
                "loss_mask": visible.detach(),
                "n_valid": mask.sum() + len(mask),
            }
        if not self.training:
            output |= localiser_output(batch, logits) | {"logits_mask": logits_mask}
        return output
