"""What an ensemble starts from, what it sees, what it is worth, and how a trained one answers for new studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from lumbar.anatomy import GRADES, LEVELS, TARGETS
from lumbar.cli import UserError, nearest
from lumbar.config import View, find_module
from lumbar.engine import checkpoint
from lumbar.engine.runs import CHECKPOINT, runs_of
from lumbar.grades.class_shares import class_shares
from lumbar.grades.oof import model_names
from lumbar.grades.scoring import Floats, Ints, all_scores

ABSENT: Final = -1
"""Index of a target that does not exist: a level past an end of the lumbar spine."""

OTHER_CONDITIONS: Final = ((1, 2, 3, 4), (2, 0, 3, 4), (1, 0, 4, 3), (4, 0, 1, 2), (3, 0, 2, 1))
"""Per condition the others: its other side, the canal, the other group on its own side and on the other side."""

MEAN, COMBINED = "mean of models", "MLP"
"""Names, beside those of the models, of what `compare` scores."""


def mean_of_models(probabilities: Tensor) -> Tensor:
    """Average the models that predicted; where none did, answer with `class_shares`.

    Parameters
    ----------
    probabilities : Tensor, shape (N, models, 25, 3)
        NaN where missing.

    Returns
    -------
    Tensor, shape (N, 25, 3)
    """
    mean = probabilities.nanmean(1)
    return torch.where(mean.isnan(), torch.from_numpy(class_shares()).to(mean), mean)


def views(view: View) -> Ints:
    """List which targets are looked at for each target.

    Parameters
    ----------
    view : str
        ``own``: itself; ``conditions``: also, at the same level, `OTHER_CONDITIONS`; ``levels``: moreover the level
        above and the one below.

    Returns
    -------
    ndarray, shape (25, K)
        Target indices, the target itself first; `ABSENT` past the ends of the spine. A column means the same for all
        targets of a condition group.
    """
    rows = []
    for target in range(len(TARGETS)):
        condition, level = divmod(target, len(LEVELS))
        seen = [target]
        if view != "own":
            seen += [other * len(LEVELS) + level for other in OTHER_CONDITIONS[condition]]
        if view == "levels":
            seen += [target + step if 0 <= level + step < len(LEVELS) else ABSENT for step in (-1, 1)]
        rows.append(seen)
    return np.array(rows, dtype=np.int64)


def compare(output: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Score each model, their mean, and what the MLP makes of them, with `scores_beside`.

    Parameters
    ----------
    output : mapping
        Of `mdl_mlp` over a set of studies: `logits` (N, 25, 3), `probabilities` (N, models, 25, 3) of the models,
        NaN where missing, `target` (N, 25).
    names : sequence of str
        Names of the models.

    Returns
    -------
    dict of dict
        By model name, `MEAN` and `COMBINED`.
    """
    models = output["probabilities"].double()
    mean = mean_of_models(models)
    columns = dict(zip(names, models.unbind(1), strict=True))
    columns |= {MEAN: mean, COMBINED: output["logits"].double().softmax(-1)}
    target, beside = output["target"].cpu().numpy(), mean.cpu().numpy()
    return {name: scores_beside(predicted.cpu().numpy(), beside, target) for name, predicted in columns.items()}


def scores_beside(probabilities: Floats, mean: Floats, target: Ints) -> dict[str, float]:
    """Score a model on the studies that it predicted, and beside it the mean of models on the same.

    Parameters
    ----------
    probabilities : ndarray, shape (N, 25, 3)
        Of the model, NaN where missing.
    mean : ndarray, shape (N, 25, 3)
        Of the models.
    target : ndarray, shape (N, 25)
        Grades, -100 where missing.

    Returns
    -------
    dict
        ``studies``, their number; ``score scs nfn ss any_severe`` of the model; ``mean_score`` and so on. A target
        that it lacks in such a study is scored with `class_shares`; a condition group that it never predicts is NaN,
        and its score then too.
    """
    predicted = ~np.isnan(probabilities[..., 0])
    studies = predicted.any(1)
    predicted, mean, target = predicted[studies], mean[studies], target[studies]
    filled = np.where(predicted[..., None], probabilities[studies], class_shares())
    beside = {f"mean_{part}": value for part, value in all_scores(mean, target, predicted).items()}
    return {"studies": int(studies.sum()), **all_scores(filled, target, predicted), **beside}


class Combiner:
    """A trained ensemble: the MLPs of all folds and seeds, averaged.

    Parameters
    ----------
    networks : sequence of Module
        `mdl_mlp` networks with the same inputs.
    names : sequence of str
        Names of the models, in the order of the networks' inputs.
    """

    def __init__(self, networks: Sequence[nn.Module], names: Sequence[str]) -> None:
        self.networks = [network.eval() for network in networks]
        self.names = tuple(names)

    @torch.inference_mode()
    def combine(self, predictions: Mapping[str, ArrayLike]) -> Floats:
        """Combine what the models predict for some studies.

        Parameters
        ----------
        predictions : mapping of str to array_like, shape (N, 25, 3)
            Probabilities by model name, NaN where missing. A model that is left out counts as missing.

        Returns
        -------
        ndarray, shape (N, 25, 3)
            Probabilities of every target, each triple summing to 1; `class_shares`, corrected by the MLP, where no
            model predicted.

        Raises
        ------
        ValueError
            If there are no predictions, or of an unknown model, or shapes differ.
        """
        arrays = {name: np.asarray(values, dtype=np.float32) for name, values in predictions.items()}
        unknown = sorted(arrays.keys() - set(self.names))
        shapes = {array.shape for array in arrays.values()}
        if unknown or len(shapes) != 1 or min(shapes)[1:] != (len(TARGETS), len(GRADES)):
            raise ValueError(
                f"expected probabilities (N, 25, 3) of {', '.join(self.names)}; got shapes {sorted(shapes)}"
                + (f" and the unknown {unknown[0]!r}{nearest(unknown[0], self.names)}" if unknown else "")
            )
        missing = np.full(min(shapes), np.nan, np.float32)
        batch = {"probabilities": torch.from_numpy(np.stack([arrays.get(name, missing) for name in self.names], 1))}
        answers = [network(batch)["logits"].double().softmax(-1) for network in self.networks]
        return torch.stack(answers).mean(0).numpy()


def load_combiner(folder: Path) -> Combiner:
    """Load every trained fold and seed of an ensemble, fold -1 among them.

    Parameters
    ----------
    folder : Path
        For example ``weights/cfg_mlp``: ``fold<k>/checkpoint_last_seed<s>.pth``, each with the ``config_seed<s>.json``
        that training wrote beside it.

    Raises
    ------
    UserError
        If there is none, one is damaged or lacks its config, or they read different models.
    """
    runs = runs_of(folder, CHECKPOINT)
    if not runs:
        raise UserError(
            f"{folder}: no trained ensemble (fold<k>/checkpoint_last_seed<s>.pth); python train.py -C cfg_mlp"
        )
    names = [model_names(run.cfg) for run in runs]
    for run, found in zip(runs, names, strict=True):
        if found != names[0]:
            raise UserError(
                f"{run.checkpoint}: combines {', '.join(found)}, but {runs[0].checkpoint} {', '.join(names[0])}; "
                "remove one of them"
            )
    networks = []
    for run in runs:
        network = find_module("models", run.cfg.model, ["Net"], f"{run.checkpoint}").Net(run.cfg)
        checkpoint.fit_weights(network, checkpoint.load(run.checkpoint), run.checkpoint)
        networks.append(network)
    return Combiner(networks, names[0])
