"""Sagittal grades: foraminal narrowing from Sagittal T1 and canal stenosis from Sagittal T2/STIR, per level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lumbar.anatomy import NFN, SCS
from lumbar.config import Config
from lumbar.nets.blocks import Batch
from lumbar.nets.grading import EMBEDDING, ConditionGradingNet
from lumbar.nets.losses import Loss, mean_of_defined


class Net(ConditionGradingNet):
    """Also told where each slice lies: `slicelocation` (B, S), patient x + `cfg.slicelocation_clip`, whole mm."""

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg, (NFN, SCS), slice_features=EMBEDDING)
        self.pos_emb = nn.Embedding.from_pretrained(sinusoids(2 * cfg.slicelocation_clip + 1, EMBEDDING), freeze=False)

    def slice_features(self, batch: Batch) -> list[Tensor]:
        """Give the position embedding of each real slice: (T, 32)."""
        return [self.pos_emb(batch["slicelocation"][batch["mask"].bool()])]

    def total(self, losses: Sequence[Sequence[Loss]]) -> Loss:
        """Combine the losses: left, right foraminal narrowing and canal stenosis count the same."""
        return mean_of_defined(loss for sides in losses for loss in sides)


def sinusoids(positions: int, size: int) -> Tensor:
    """Make the position code of "Attention is all you need" (Vaswani et al., 2017).

    Returns
    -------
    Tensor, shape (positions, size)
        Entry (p, j) is the sine (even j) or cosine (odd j) of p / 10000^(2 floor(j / 2) / size).
    """
    j = torch.arange(size)
    angle = torch.arange(positions)[:, None] / 10000 ** (2 * (j // 2) / size)
    return torch.where(j % 2 == 0, angle.sin(), angle.cos())
