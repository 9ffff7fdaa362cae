"""Training losses that are defined for every batch, also where labels are missing.

A loss here is a pair: its value, and whether any label stood behind it. Without a label the value is a zero that is
still part of the graph, so that a step (and the other ranks of a distributed run) can go on; it is left out of means.
Everything is computed in 32-bit floats, whatever the network's precision.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbar.anatomy import GRADE_WEIGHTS, MISSING


class Loss(NamedTuple):
    """A loss, and whether it is defined."""

    value: Tensor
    """Scalar; 0 when there was no label."""
    defined: Tensor
    """Scalar bool."""

    def report(self) -> Tensor:
        """Detach the value for logging, NaN when there was no label, so that a nanmean over batches is right."""
        return torch.where(self.defined, self.value.detach(), torch.nan)


def weighted_mean(values: Tensor, weights: Tensor, divisor: Tensor | None = None) -> Loss:
    """Divide the sum of values x weights by the sum of `divisor` (the weights themselves by default)."""
    weights = weights.float()
    total = (weights if divisor is None else divisor.float()).sum()
    return Loss((values.float() * weights).sum() / torch.where(total > 0, total, 1.0), total > 0)


def mean_of_defined(losses: Iterable[Loss]) -> Loss:
    """Average those losses that are defined."""
    values, defined = (torch.stack(column) for column in zip(*losses, strict=True))
    return weighted_mean(values, defined)


class GradeLoss(nn.Module):
    """Cross-entropy of grades, weighted as the competition's metric weights them; missing labels are ignored."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(GRADE_WEIGHTS))

    def forward(self, logits: Tensor, target: Tensor) -> Loss:
        """Compare logits (N, 3) with grades (N), -100 where missing."""
        known = target != MISSING
        weights = self.weight[target.clamp(min=0)] * known
        return weighted_mean(F.cross_entropy(logits.float(), target, reduction="none", ignore_index=MISSING), weights)
