"""Out-of-fold predictions of any number of models, gathered and aligned: studies x models x 25 targets x 3 grades.

They come from two places: the validation outputs that ``train.py`` left under ``weights/<config>/fold<k>/``, and
tables of other pipelines in the submission's format. Everywhere a prediction is a probability, NaN where missing.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lumbar.anatomy import GRADES, MISSING, TARGETS
from lumbar.cli import UserError
from lumbar.config import Config, load_config
from lumbar.engine.runs import find_runs, predicted_grades
from lumbar.grades.scoring import Floats, Ints, softmax
from lumbar.grades.submission import read_predictions

_log = logging.getLogger(__name__)


def model_names(cfg: Config) -> tuple[str, ...]:
    """Name the models that an ensemble reads, in the order of its inputs: `oof_configs`, then the stems of `oof`.

    Raises
    ------
    UserError
        If there are none, or two of one name.
    """
    names = (*cfg.oof_configs, *(Path(path).stem for path in cfg.oof))
    if not names:
        raise UserError("nothing to combine: give models as --oof_configs or tables as --oof", status=2)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(
            f"two models are named {repeated[0]!r} (config keys 'oof_configs', 'oof'); rename a file", status=2
        )
    return names


def gather(cfg: Config, studies: pd.DataFrame) -> tuple[Ints, Floats]:
    """Gather what every model predicted for some studies.

    Parameters
    ----------
    cfg : config
        Reads `oof_configs`, `oof` and `weights_dir`.
    studies : DataFrame
        Rows of the fold file: `study_id`, `fold`.

    Returns
    -------
    study_id : ndarray, shape (N)
        The studies of `studies`, ascending.
    probabilities : ndarray, shape (N, models, 25, 3)
        In the order of `model_names`; NaN where missing.

    Raises
    ------
    UserError
        If a model's files cannot be used.
    """
    model_names(cfg)
    study_id = np.unique(studies["study_id"].to_numpy(np.int64))
    models = [from_weights(Path(cfg.weights_dir), name, studies) for name in cfg.oof_configs]
    models += [read_predictions(Path(path)) for path in cfg.oof]
    return study_id, np.stack([align(study_id, *found) for found in models], axis=1)


def check_overlap(cfg: Config, probabilities: Floats, grades: Ints) -> None:
    """Check that every model predicted something that is labelled.

    Parameters
    ----------
    cfg : config
        That the predictions were gathered for.
    probabilities : ndarray, shape (N, models, 25, 3)
        What `gather` gives.
    grades : ndarray, shape (N, 25)
        Labels of the same studies, -100 where missing.

    Raises
    ------
    UserError
        Otherwise, naming the model.
    """
    useful = (~np.isnan(probabilities[..., 0]) & (grades != MISSING)[:, None]).any((0, 2))
    for name, source, fine in zip(model_names(cfg), (*cfg.oof_configs, *cfg.oof), useful, strict=True):
        if not fine and name == source:
            raise UserError(
                f"{Path(cfg.weights_dir) / name}: no out-of-fold predictions (fold<k>/val_data_seed<s>.pth) of the "
                f"{len(grades)} training studies; train it (python train.py -C {name} --fold k) or leave it out of "
                "--oof_configs"
            )
        if not fine:
            raise UserError(f"{source}: no row belongs to a labelled target of the {len(grades)} training studies")


def align(study_id: Ints, found_id: Ints, found: Floats) -> Floats:
    """Bring predictions of studies `found_id`, ascending, into the order of `study_id`; NaN where there are none."""
    result = np.full((len(study_id), *found.shape[1:]), np.nan)
    known = np.isin(study_id, found_id)
    result[known] = found[np.searchsorted(found_id, study_id[known])]
    return result


def pool_runs(found: Sequence[tuple[Ints, Floats]]) -> tuple[Ints, Floats]:
    """Put the predictions of one or more runs, of any folds and seeds, together.

    Parameters
    ----------
    found : sequence of (ndarray, ndarray)
        What `lumbar.engine.runs.predicted_grades` gives for each run.

    Returns
    -------
    study_id : ndarray, shape (N)
        The studies of all runs, ascending.
    logits : ndarray, shape (N, 25, 3)
        Averaged over the runs that predicted a target; NaN where none did.
    """
    study_id = np.unique(np.concatenate([ids for ids, _ in found]))
    with warnings.catch_warnings(action="ignore"):  # a target that no run predicted
        return study_id, np.nanmean([align(study_id, *each) for each in found], axis=0)


def from_weights(weights: Path, name: str, studies: pd.DataFrame) -> tuple[Ints, Floats]:
    """Read a config's validation outputs, fold by fold, each through the post-processing that its run names.

    Fold -1 is never read: its validation patients were trained on.

    Parameters
    ----------
    weights : Path
        Folder of ``<config>/fold<k>/val_data_seed<s>.pth``.
    name : str
        Config.
    studies : DataFrame
        Rows of the fold file.

    Returns
    -------
    study_id : ndarray, shape (M)
        Studies of the folds that were trained, ascending; none of another fold.
    probabilities : ndarray, shape (M, 25, 3)
        Of the logits averaged over seeds; NaN where nothing was predicted.
    """
    load_config(name)  # an error that names the nearest, where there is no such config
    notes: list[str] = []
    runs = find_runs(weights, [name], notes)
    for note in notes:
        _log.warning("%s", note)
    made: list[tuple[Ints, Floats]] = []
    for fold in sorted(studies["fold"].unique()):
        outputs = [predicted_grades(run, studies) for run in runs if run.fold == fold]
        of_fold = [output for output in outputs if output is not None]
        made += of_fold
        if not of_fold:
            _log.warning("%s has no predictions for fold %s: missing in the ensemble", name, fold)
    if not made:
        return np.empty(0, np.int64), np.empty((0, len(TARGETS), len(GRADES)))
    study_id, logits = pool_runs(made)
    return study_id, softmax(logits)
