"""Axial points: where the left and right subarticular zone lie on one axial slice."""

from __future__ import annotations

from torch import Tensor, nn

from lumbar.config import Config
from lumbar.nets.blocks import BackboneNet, Batch, localiser_output
from lumbar.nets.losses import weighted_mean


class Net(BackboneNet):
    """Slice -> backbone -> `cfg.n_classes` = 4 normalised coordinates (x_left, y_left, x_right, y_right)."""

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.head = nn.Linear(self.features, cfg.n_classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Locate the points of a batch.

        Parameters
        ----------
        batch : mapping
            `input` (B, H, W), `series_id` (B), `instance_numbers` (B); `target` (B, 4) normalised and `target_mask`
            (B, 4) where there are annotations.

        Returns
        -------
        dict
            With targets `loss` (mean absolute error over annotated coordinates) and `n_valid`; in eval mode `logits`
            (B, 4) and what the rows are.
        """
        logits = self.head(self.encode(batch["input"][:, None])).float()
        output = {}
        if "target" in batch:
            mask = batch["target_mask"]
            output = {"loss": weighted_mean((logits - batch["target"]).abs(), mask).value, "n_valid": mask.sum()}
        if not self.training:
            output |= localiser_output(batch, logits)
        return output
