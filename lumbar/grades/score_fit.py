"""Linear corrections of predictions that minimise the competition's score, and how strongly to believe in none.

Newton's method on all studies at once. How strong the belief should be is tried out on studies left out: what a fit
without them would have been is one further step of Newton's method, from the same sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from lumbar.anatomy import GRADE_WEIGHTS, GRADES, MISSING, SCS
from lumbar.grades.score_loss import group_losses

PARTS: Final = 5
"""Parts of the studies (every fifth) that are left out in turn."""

STEPS: Final = 20
TOLERANCE: Final = 1e-3
"""Newton's method ends after `STEPS`, or when a step promises less than this share of a single study's loss."""

WORTH: Final = 0.2
"""A weaker belief is taken when the studies left out lose less with it, by this share of one study's loss or more.

Chosen on synthetic sets: with 25 studies the mean of models is left alone, with 2,000 no less is gained.
"""

LEAST: Final = 1000
"""A belief is tried when its worth in studies, times the number of studies, is so much: few cannot tell a weak one.

Chosen on synthetic sets of 60 studies: with weaker ones the worst lost 7 % of the score, and so it loses 1.4 %.
"""


def corrected(start: Tensor, features: Tensor, weight: Tensor) -> Tensor:
    """Add a correction, features (..., F) times weight (2, F), to the logits (..., 3) of all grades but the first."""
    return torch.cat([start[..., :1], start[..., 1:] + features @ weight.T], -1)


class ScoreFit:
    """The studies that a correction of one condition group is fitted to.

    Parameters
    ----------
    part : str
        Condition group; that of the canal has "any severe" in its loss.
    start : Tensor, shape (N, T, 3)
        Logits to correct, of T targets.
    features : Tensor, shape (N, T, F)
        What the correction depends on.
    target : Tensor of int64, shape (N, T)
        Grades, -100 where missing.
    belief : Tensor, shape (F)
        How strongly each weight is believed to be 0, next to the others.
    """

    def __init__(self, part: str, start: Tensor, features: Tensor, target: Tensor, belief: Tensor) -> None:
        self.part, self.start, self.features, self.target = part, start, features, target
        self.studies = int((target != MISSING).any(1).sum())
        self.rows = [features[number::PARTS].flatten(0, 1) for number in range(PARTS)]
        # The sum of squares of weights for three grades whose mean is 0, in terms of those for two.
        equal = torch.eye(len(GRADES) - 1, dtype=torch.float64) - 1 / len(GRADES)
        self.penalty = 2 * torch.kron(equal, belief.double().cpu().diag()).to(features.device)  # (2F, 2F)

    def best(self, priors: Sequence[float]) -> Tensor:
        """Fit with ever weaker beliefs, worth so many studies, until studies left out are not predicted better.

        Returns
        -------
        Tensor, shape (2, F)
            Weights; all 0 when even the strongest belief is no better than no correction.
        """
        weight = self.features.new_zeros(len(GRADES) - 1, self.features.shape[-1])
        chosen, least = weight, self.loss(self.start).item()
        for prior in sorted((prior for prior in priors if prior * self.studies >= LEAST), reverse=True):
            weight, gradients, curvatures = self.minimise(prior, weight)
            loss = self.loss(self.left_out(prior, weight, gradients, curvatures)).item()
            if not loss < least - WORTH:
                break
            chosen, least = weight, loss
        return chosen

    def loss(self, logits: Tensor) -> Tensor:
        """Sum up what the condition group adds to the score, times the number of studies."""
        losses = group_losses(self.part, logits, self.target).values()
        return self.studies * torch.stack([loss.value for loss in losses]).sum()

    def minimise(self, prior: float, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Minimise the loss plus the belief, from a weight on; return the new one, and `derivatives` there."""
        for _ in range(STEPS):
            loss, gradients, curvatures = self.derivatives(weight)
            step, promised = self.newton(prior, weight, gradients.sum(0), curvatures.sum(0))
            if promised < TOLERANCE:
                break
            before, length = loss + self.believed(prior, weight), 1.0
            while length > TOLERANCE:
                further = weight - length * step
                after = self.loss(corrected(self.start, self.features, further)) + self.believed(prior, further)
                if after < before:
                    break
                length /= 2
            weight = further
        return weight, gradients, curvatures

    def believed(self, prior: float, weight: Tensor) -> float:
        """Compute what the belief adds to the loss."""
        flat = weight.double().flatten()
        return float(prior / 2 * flat @ self.penalty @ flat)

    def newton(self, prior: float, weight: Tensor, gradient: Tensor, curvature: Tensor) -> tuple[Tensor, float]:
        """Make a step (2, F) of Newton's method, to be subtracted; and how much it promises."""
        gradient = gradient + prior * self.penalty @ weight.double().flatten()
        step = torch.linalg.solve(curvature + prior * self.penalty, gradient)
        return step.to(weight).view_as(weight), float(gradient @ step) / 2

    def left_out(self, prior: float, weight: Tensor, gradients: Tensor, curvatures: Tensor) -> Tensor:
        """Predict each part of the studies as a fit to the others would, from the minimum of all: logits (N, T, 3)."""
        logits = torch.empty_like(self.start)
        for number in range(PARTS):
            others = [sums.sum(0) - sums[number] for sums in (gradients, curvatures)]
            step, _ = self.newton(prior, weight, *others)
            mine = slice(number, None, PARTS)
            logits[mine] = corrected(self.start[mine], self.features[mine], weight - step)
        return logits

    def derivatives(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the loss, and by part of the studies its gradient (P, 2F) and curvature (P, 2F, 2F)."""
        logits = corrected(self.start, self.features, weight)
        with torch.enable_grad():
            loss = self.loss(logits.requires_grad_())
            (slope,) = torch.autograd.grad(loss, logits)
        bend = self.bend(logits.detach().softmax(-1))
        gradients, curvatures = [], []
        for number, rows in enumerate(self.rows):
            gradients.append((slope[number::PARTS, :, 1:].flatten(0, 1).T @ rows).flatten())
            same, mixed, other = (rows.T @ (rows * each[number::PARTS].reshape(-1, 1)) for each in bend)
            curvatures.append(torch.cat([torch.cat([same, mixed], 1), torch.cat([mixed, other], 1)]))
        return loss.detach(), torch.stack(gradients).double(), torch.stack(curvatures).double()

    def bend(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute how the loss curves in the logits of a target: by grade 1 twice, 1 and 2, 2 twice, each (N, T).

        As expected of grades that follow the probabilities p (N, T, 3), so that it is never negative.
        """
        weight = self.weights(self.target)
        bend = [
            weight * p[..., 1] * (1 - p[..., 1]),
            -weight * p[..., 1] * p[..., 2],
            weight * p[..., 2] * (1 - p[..., 2]),
        ]
        if self.part == SCS:
            worst, level = p[..., 2].max(1, keepdim=True)  # (N, 1)
            weight = self.weights(self.target.amax(1, keepdim=True)) * worst * (1 - worst)
            moderate = -p[..., 1].gather(1, level) / (1 - worst).clamp(min=torch.finfo(p.dtype).eps)
            for each, factor in zip(bend, (moderate**2, moderate, torch.ones_like(moderate)), strict=True):
                each.scatter_add_(1, level, weight * factor)
        return bend[0], bend[1], bend[2]

    def weights(self, target: Tensor) -> Tensor:
        """Weigh labels as the score does, times the number of studies; 0 where missing."""
        weight = torch.tensor(GRADE_WEIGHTS, device=target.device)[target.clamp(min=0)] * (target != MISSING)
        return self.studies * weight / weight.sum().clamp(min=1)
