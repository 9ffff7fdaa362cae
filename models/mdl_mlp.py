"""Ensemble: per condition group a weighted mean of all models' predictions of a target, corrected by a small MLP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbar.anatomy import GRADES, MISSING
from lumbar.config import Config
from lumbar.grades.class_shares import class_shares
from lumbar.grades.combiner import mean_of_models, views
from lumbar.grades.oof import model_names
from lumbar.grades.score_loss import score_loss, score_losses
from lumbar.grades.scoring import PART_COLUMNS

FLOOR: Final = 1e-6
"""Probabilities are raised to this before their logarithm is taken."""

SCALE: Final = 4.0
"""Log-probabilities are divided by this to become inputs of order 1."""

WEIGHT_SCALE: Final = 10.0
"""The logarithms of model weights move faster by this than the MLP's parameters."""

EQUALITY: Final = 1 / 50
"""How strong the belief in equal weights of models is, as a share of `mlp_prior` (chosen on synthetic tables)."""


class Combination(nn.Module):
    """What the levels and sides of one condition group share: several members, each with model weights and an MLP.

    All members start as the plain mean of models with a correction of exactly 0; they differ in the initial weights
    of their hidden layer.

    Parameters
    ----------
    models, inputs, hidden, members : int
        Numbers of models, of the MLP's inputs and hidden units, and of members.
    """

    def __init__(self, models: int, inputs: int, hidden: int, members: int) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.zeros(members, models))
        self.linear = nn.Parameter(torch.zeros(members, inputs, len(GRADES)))
        self.hidden = nn.Parameter(torch.randn(members, inputs, hidden) / inputs**0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(members, 1, hidden))
        self.head = nn.Parameter(torch.zeros(members, hidden, len(GRADES)))
        self.head_bias = nn.Parameter(torch.zeros(members, 1, len(GRADES)))

    def weight(self) -> Tensor:
        """Give the logarithms of the models' weights: (members, models)."""
        return (WEIGHT_SCALE * self.log_weight).log_softmax(1)

    def forward(self, features: Tensor, probabilities: Tensor, fallback: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the models and correct their mean.

        Parameters
        ----------
        features : Tensor, shape (B, T, inputs)
            Inputs of the MLP for T targets.
        probabilities : Tensor, shape (B, models, T, 3)
            NaN where missing.
        fallback : Tensor, shape (T, 3)
            Probabilities where no model predicted.

        Returns
        -------
        mean, correction : Tensor, shape (members, B, T, 3)
            Logarithm of the weighted mean, and what is to be added to it.
        """
        weight = self.weight().exp()
        present = (~probabilities.isnan()).to(weight)
        total = torch.einsum("em,bmtc->ebtc", weight, probabilities.nan_to_num())
        share = torch.einsum("em,bmtc->ebtc", weight, present)
        mean = torch.where(share > 0, total / share.clamp(min=torch.finfo(share.dtype).tiny), fallback)
        rows = features.flatten(0, 1)
        hidden = F.gelu(rows @ self.hidden + self.hidden_bias)
        correction = rows @ self.linear + hidden @ self.head + self.head_bias
        return mean.clamp(min=FLOOR).log(), correction.unflatten(1, features.shape[:2])


class Net(nn.Module):
    """The logarithm of the models' weighted mean plus a learned correction; untrained, it is exactly their plain mean.

    An MLP is shared by all levels and sides of its condition group. Of each target that it looks at
    (`lumbar.grades.combiner.views`) it is given the plain mean's log-probabilities and, per model, how far that model's
    differ from them (0 where missing) and whether it predicted.

    Parameters
    ----------
    cfg : config
        Reads `oof_configs oof hidden_dim mlp_members mlp_levels mlp_conditions mlp_prior`.
    """

    views: Tensor
    shares: Tensor

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.prior = cfg.mlp_prior
        seen = torch.from_numpy(views(cfg.mlp_levels, cfg.mlp_conditions))
        self.register_buffer("views", seen, persistent=False)
        self.register_buffer("shares", torch.from_numpy(class_shares()).float(), persistent=False)
        models = len(model_names(cfg))
        inputs = seen.shape[1] * (len(GRADES) + models * (len(GRADES) + 1))
        self.combinations = nn.ModuleDict(
            {part: Combination(models, inputs, cfg.hidden_dim, cfg.mlp_members) for part in PART_COLUMNS}
        )

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Combine the predictions of a batch of whole studies.

        Parameters
        ----------
        batch : mapping
            `probabilities` (B, models, 25, 3), NaN where missing; `target` (B, 25), -100 where missing, when there
            are labels; `study_id` (B) where known; in training `n_studies` (B), the size of the training set.

        Returns
        -------
        dict
            With targets `loss`, the competition's score, its parts as `loss_*` (NaN without a label) and `n_valid`;
            in training the loss is that of each member, averaged, plus `loss_prior`. In eval mode `logits`
            (B, 25, 3), the logarithm of the members' mean probability, and what the batch holds.
        """
        mean, correction = self.combine(batch["probabilities"].float())
        members = (mean + correction).log_softmax(-1)  # (members, B, 25, 3)
        logits = members if self.training else members.exp().mean(0, keepdim=True).log()
        output: dict[str, Tensor] = {}
        if "target" in batch:
            target = batch["target"]
            losses = score_losses(logits.flatten(0, 1), target.repeat(len(logits), 1))
            output = {f"loss_{part}": loss.report() for part, loss in losses.items()}
            output |= {"loss": score_loss(losses).value, "n_valid": (target != MISSING).sum()}
        if not self.training:
            return output | dict(batch) | {"logits": logits[0]}
        weights = [cast(Combination, combination).weight() for combination in self.combinations.values()]
        unequal = torch.stack([inequality(weight) for weight in weights]).mean()
        prior = self.prior / batch["n_studies"][0] * (change(mean.detach(), correction) + EQUALITY * unequal)
        return output | {"loss": output["loss"] + prior, "loss_prior": prior.detach()}

    def combine(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logarithm of each member's mean and its correction, both (members, B, 25, 3)."""
        features = self.features(probabilities)
        combined = []
        for part, columns in PART_COLUMNS.items():
            index = torch.from_numpy(columns).to(features.device)
            combined.append(self.combinations[part](features[:, index], probabilities[:, :, index], self.shares[index]))
        # The condition groups stand side by side among the 25 targets, in this order.
        mean, correction = (torch.cat(tensors, 2) for tensors in zip(*combined, strict=True))
        return mean, correction

    def features(self, probabilities: Tensor) -> Tensor:
        """Make the inputs of the MLPs: probabilities (B, models, 25, 3), NaN where missing, to (B, 25, inputs)."""
        mean = mean_of_models(probabilities).clamp(min=FLOOR).log()  # (B, 25, 3)
        present = ~probabilities[..., :1].isnan()  # (B, models, 25, 1)
        deviation = probabilities.clamp(min=FLOOR).log() - mean[:, None]
        by_model = torch.cat([deviation.where(present, 0.0) / SCALE, present.to(mean)], -1)  # (B, models, 25, 4)
        by_target = torch.cat([mean / SCALE, by_model.transpose(1, 2).flatten(2)], -1)  # (B, 25, features)
        # A last row of zeros is what lies past the ends of the spine (index -1).
        return F.pad(by_target, (0, 0, 0, 1))[:, self.views].flatten(2)


def change(mean: Tensor, correction: Tensor) -> Tensor:
    """Measure how far corrections change predictions, in the unit of the score.

    Parameters
    ----------
    mean, correction : Tensor, shape (members, B, 25, 3)
        Logarithms of probabilities, and what is added to them.

    Returns
    -------
    Tensor
        Scalar: the Kullback-Leibler divergence from `mean`, averaged over the condition groups.
    """
    mean = mean.log_softmax(-1)
    divergence = (mean.exp() * (mean - (mean + correction).log_softmax(-1))).sum(-1)
    parts = [divergence[..., torch.from_numpy(columns).to(mean.device)].mean() for columns in PART_COLUMNS.values()]
    return torch.stack(parts).mean()


def inequality(log_weight: Tensor) -> Tensor:
    """Measure how far weights of models, logarithms (members, models), are from equal: their divergence from that."""
    return (log_weight.exp() * log_weight).sum(1).mean() + math.log(log_weight.shape[1])
