"""Ensemble: per condition group the mean of all models' predictions of a target, corrected by small MLPs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbar.anatomy import GRADES, LEVELS, MISSING
from lumbar.cli import UserError
from lumbar.config import Config, View
from lumbar.grades.combiner import mean_of_models, views
from lumbar.grades.oof import model_names
from lumbar.grades.score_fit import ScoreFit, corrected
from lumbar.grades.score_loss import score_loss, score_losses
from lumbar.grades.scoring import PART_COLUMNS

FLOOR: Final = 1e-6
"""Probabilities are raised to this before their logarithm is taken."""

FAR: Final = 4.0
"""How much more than of the target's own mean it is believed that all else says nothing (chosen on synthetic sets)."""


class Member(nn.Module):
    """An MLP that sees one view of the targets of one condition group, shared by its levels and sides.

    Its inputs are the log-odds of the mean of models for each target in view, how far each model's are from the mean
    for the target itself, and the level. A linear layer sees them, the target's own log-odds once more for each level,
    and a hidden layer of random weights; only the linear layer learns.

    Parameters
    ----------
    models : int
        Number of models.
    part : str
        Condition group.
    view : View
        Of `lumbar.grades.combiner.views`.
    hidden : int
        Units of the hidden layer.
    """

    columns: Tensor
    seen: Tensor
    center: Tensor
    scale: Tensor
    hidden: Tensor
    hidden_bias: Tensor

    def __init__(self, models: int, part: str, view: View, hidden: int) -> None:
        super().__init__()
        self.part = part
        columns = torch.from_numpy(np.flatnonzero(PART_COLUMNS[part]))
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("seen", torch.from_numpy(views(view))[columns], persistent=False)  # (T, K)
        odds = len(GRADES) - 1
        inputs = odds * (self.seen.shape[1] + models)
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("scale", torch.zeros(inputs))
        known = inputs + len(LEVELS)
        self.register_buffer("hidden", torch.randn(known, hidden) / known**0.5)
        self.register_buffer("hidden_bias", torch.randn(hidden))
        near, per_level = torch.ones(odds), torch.ones(len(LEVELS) * (1 + odds))
        self.belief = torch.cat([near, torch.full((inputs - odds,), FAR), per_level, torch.full((hidden,), FAR)])
        self.weight = nn.Parameter(torch.zeros(odds, len(self.belief)))

    def inputs(self, mean: Tensor, deviation: Tensor) -> Tensor:
        """Pick what is in view, (B, T, inputs), of the `log_odds` of all targets."""
        # A last row of zeros is what lies past the ends of the spine (index -1).
        odds = F.pad(mean, (0, 0, 0, 1))[:, self.seen].flatten(2)
        return torch.cat([odds, deviation[:, self.columns]], -1)

    def features(self, inputs: Tensor) -> Tensor:
        """Make of the inputs (B, T, inputs) what the linear layer sees: (B, T, features)."""
        inputs = (inputs - self.center) * self.scale
        level = torch.eye(len(LEVELS)).to(inputs).repeat(inputs.shape[1] // len(LEVELS), 1).expand(len(inputs), -1, -1)
        known = torch.cat([inputs, level], -1)
        by_level = (level[..., None] * inputs[..., None, : len(GRADES) - 1]).flatten(2)
        return torch.cat([known, by_level, torch.tanh(known @ self.hidden + self.hidden_bias)], -1)

    def forward(self, logits: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """Correct the logits (B, 25, 3) of the mean of models: log-probabilities of the group's targets, (B, T, 3)."""
        features = self.features(self.inputs(mean, deviation))
        return corrected(logits[:, self.columns], features, self.weight).log_softmax(-1)

    @torch.no_grad()
    def fit(self, logits: Tensor, mean: Tensor, deviation: Tensor, target: Tensor, priors: tuple[float, ...]) -> None:
        """Standardise the inputs and solve for the weights."""
        inputs = self.inputs(mean, deviation)
        spread, self.center = torch.std_mean(inputs, (0, 1), correction=0)
        self.scale = torch.where(spread > FLOOR, 1 / spread, 0.0)
        fit = ScoreFit(self.part, logits[:, self.columns], self.features(inputs), target[:, self.columns], self.belief)
        self.weight.copy_(fit.best(priors))


class Net(nn.Module):
    """The mean of models, corrected; untrained, it is exactly that mean.

    Per condition group each view has a `Member`; their answers are averaged as logarithms. It solves for its weights
    (`fit`) in place of learning epoch by epoch.

    Parameters
    ----------
    cfg : config
        Reads `oof_configs oof hidden_dim mlp_views mlp_priors`.

    Raises
    ------
    UserError
        If there is no view.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        if not cfg.mlp_views:
            raise UserError("config key 'mlp_views': expected at least one of own, conditions, levels", status=2)
        self.priors = cfg.mlp_priors
        models = len(model_names(cfg))
        self.members = nn.ModuleDict(
            {
                part: nn.ModuleList(Member(models, part, view, cfg.hidden_dim) for view in cfg.mlp_views)
                for part in PART_COLUMNS
            }
        )

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Combine the predictions of a batch of whole studies.

        Parameters
        ----------
        batch : mapping
            `probabilities` (B, models, 25, 3), NaN where missing; `target` (B, 25), -100 where missing, when there
            are labels; `study_id` (B) where known.

        Returns
        -------
        dict
            `logits` (B, 25, 3), logarithms of probabilities, and what the batch holds; with targets `loss`, the
            competition's score, its parts as `loss_*` (NaN without a label) and `n_valid`.
        """
        given = log_odds(batch["probabilities"].float())
        # The condition groups stand side by side among the 25 targets, in this order.
        groups = [torch.stack([member(*given) for member in members]).mean(0) for members in self.groups()]
        logits = torch.cat(groups, 1).log_softmax(-1)
        output = dict(batch) | {"logits": logits}
        if "target" in batch:
            losses = score_losses(logits, batch["target"])
            output |= {f"loss_{part}": loss.report() for part, loss in losses.items()}
            output |= {"loss": score_loss(losses).value, "n_valid": (batch["target"] != MISSING).sum()}
        return output

    def fit(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve for the weights of all members on a batch of all training studies; return `forward` of it."""
        given = log_odds(batch["probabilities"].float())
        for members in self.groups():
            for member in members:
                member.fit(*given, batch["target"], self.priors)
        with torch.no_grad():
            return self(batch)

    def groups(self) -> list[Any]:
        """List the members of each condition group."""
        return [self.members[part] for part in PART_COLUMNS]


def log_odds(probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take logarithms of what the models say.

    Parameters
    ----------
    probabilities : Tensor, shape (B, models, 25, 3)
        NaN where missing.

    Returns
    -------
    logits : Tensor, shape (B, 25, 3)
        Logarithm of the mean of models.
    mean : Tensor, shape (B, 25, 2)
        Its log-odds of each grade and the one below.
    deviation : Tensor, shape (B, 25, 2 x models)
        How far the log-odds of each model are from those; 0 where it says nothing.
    """
    logits = mean_of_models(probabilities).clamp(min=FLOOR).log()
    mean = logits.diff(dim=-1)
    deviation = probabilities.clamp(min=FLOOR).log().diff(dim=-1) - mean[:, None]
    return logits, mean, deviation.nan_to_num(nan=0.0).transpose(1, 2).flatten(2)
