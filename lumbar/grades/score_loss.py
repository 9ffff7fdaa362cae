"""The competition's score as a training loss: what `lumbar.grades.scoring` computes, in PyTorch and with gradients."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from lumbar.anatomy import GRADE_WEIGHTS, GRADES, MISSING, SCS
from lumbar.grades.scoring import ANY_SEVERE, PART_COLUMNS
from lumbar.nets.losses import GradeLoss, Loss, mean_of_defined, weighted_mean

EPSILON: Final = 1e-7
"""Probabilities of "any severe" are kept this far from 0 and 1, the reach of 32-bit floats."""


def score_losses(logits: Tensor, target: Tensor) -> dict[str, Loss]:
    """Compute the parts of the competition's score over a batch of whole studies.

    Each part is a ratio of sums over studies, so a batch stands for the whole set only when it is large.

    Parameters
    ----------
    logits : Tensor, shape (N, 25, 3)
        Logits or log-probabilities.
    target : Tensor of int64, shape (N, 25)
        Grades 0, 1, 2, or -100 where missing.

    Returns
    -------
    dict of Loss
        ``scs nfn ss any_severe``, undefined where no label stands behind a part.
    """
    parts: dict[str, Loss] = {}
    for part, columns in PART_COLUMNS.items():
        index = torch.from_numpy(columns).to(logits.device)
        parts |= group_losses(part, logits[:, index], target[:, index])
    return {name: parts[name] for name in (*PART_COLUMNS, ANY_SEVERE)}


def group_losses(part: str, logits: Tensor, target: Tensor) -> dict[str, Loss]:
    """Compute what one condition group, logits (N, T, 3) and target (N, T), adds to the parts of the score."""
    grade_loss = GradeLoss().to(logits.device)
    losses = {part: grade_loss(logits.flatten(0, 1), target.flatten())}
    return losses | ({ANY_SEVERE: _any_severe(logits, target)} if part == SCS else {})


def score_loss(parts: dict[str, Loss]) -> Loss:
    """Combine the parts into the score: the mean of those that are defined."""
    return mean_of_defined(parts.values())


def _any_severe(logits: Tensor, target: Tensor) -> Loss:
    """Score the canal's worst level: logits (N, 5, 3), target (N, 5)."""
    severe = logits.float().softmax(-1)[..., -1].amax(1).clamp(EPSILON, 1 - EPSILON)
    worst = target.amax(1)
    chosen = torch.where(worst == len(GRADES) - 1, severe, 1 - severe)
    weight = torch.tensor(GRADE_WEIGHTS, device=logits.device)[worst.clamp(min=0)] * (worst != MISSING)
    return weighted_mean(-chosen.log(), weight)
