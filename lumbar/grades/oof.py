"""Out-of-fold predictions of any number of models, gathered and aligned: studies x models x 25 targets x 3 grades.

They come from two places: the validation outputs that ``train.py`` left under ``weights/<config>/fold<k>/``, and
tables of other pipelines in the submission's format. Everywhere a prediction is a probability, NaN where missing.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import GRADE_COLUMNS, GRADES, MISSING, TARGETS
from lumbar.cli import UserError, nearest
from lumbar.config import Config, load_config
from lumbar.engine.runs import find_runs, predicted_grades
from lumbar.files import atomic_path
from lumbar.grades.scoring import softmax
from lumbar.tables import SAMPLE_SUBMISSION, read_table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUM_TOLERANCE: Final = 0.02
"""How far the sum of a row's probabilities may be from 1: three values of two decimals. They are then rescaled."""

_log = logging.getLogger(__name__)


def model_names(cfg: Config) -> tuple[str, ...]:
    """Name the models that an ensemble reads, in the order of its inputs.

    Parameters
    ----------
    cfg : config
        Reads `oof_configs` (configs of this repository) and `oof` (paths of tables, named by their stems).

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
        As `gather`.
    probabilities : ndarray, shape (N, models, 25, 3)
        Of `gather`.
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
    ids, logits = [np.empty(0, np.int64)], [np.empty((0, len(TARGETS), len(GRADES)))]
    for fold in sorted(studies["fold"].unique()):
        outputs = [predicted_grades(run, studies) for run in runs if run.fold == fold]
        made = [output for output in outputs if output is not None]
        if made:
            ids.append(made[0][0])
            with warnings.catch_warnings(action="ignore"):  # a target that no seed predicted
                logits.append(np.nanmean([own for _, own in made], axis=0))
        else:
            _log.warning("%s has no predictions for fold %s: missing in the ensemble", name, fold)
    study_id, order = np.unique(np.concatenate(ids), return_index=True)
    return study_id, softmax(np.concatenate(logits)[order])


def read_predictions(path: Path) -> tuple[Ints, Floats]:
    """Read predictions in the submission's format.

    Parameters
    ----------
    path : Path
        CSV with `row_id` (``<study>_<target>``), `normal_mild`, `moderate`, `severe`; rows may be missing, and in any
        order.

    Returns
    -------
    study_id : ndarray, shape (N)
        Ascending.
    probabilities : ndarray, shape (N, 25, 3)
        Rescaled to sum to 1; NaN where missing.

    Raises
    ------
    UserError
        If a column is missing, or a row is unknown, given twice or holds no probabilities; names it.
    """
    frame = read_table(Path(), replace(SAMPLE_SUBMISSION, path=str(path), made_by="the pipeline that it comes from"))
    row_id = frame["row_id"].astype(str)
    parts = [text.partition("_") for text in row_id]
    known = {name: code for code, name in enumerate(TARGETS)}
    for text, (study, _, name) in zip(row_id, parts, strict=True):
        if name not in known or not study.isdecimal() or len(study) > 18:
            hint = nearest(name, TARGETS)
            raise UserError(f"{path}: unknown row_id {text!r}; expected <study>_<target>, as 1_{TARGETS[0]}{hint}")
    if row_id.duplicated().any():
        raise UserError(f"{path}: row_id {row_id[row_id.duplicated()].iloc[0]!r} is given twice; expected once")
    values = frame[list(GRADE_COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    total = values.sum(1)
    wrong_rows = ~((values >= 0).all(1) & (np.abs(total - 1) <= SUM_TOLERANCE))
    if wrong_rows.any():
        row = int(wrong_rows.argmax())
        shown = ", ".join(map(str, frame.loc[frame.index[row], list(GRADE_COLUMNS)]))
        raise UserError(
            f"{path}: row_id {row_id.iloc[row]!r} holds {shown}; expected three probabilities that sum to 1 (leave out "
            "the rows that were not predicted)"
        )
    study_id, row_study = np.unique(np.array([int(part[0]) for part in parts], np.int64), return_inverse=True)
    result = np.full((len(study_id), len(TARGETS), len(GRADES)), np.nan)
    result[row_study, [known[part[2]] for part in parts]] = values / total[:, None]
    return study_id, result


def write_predictions(path: Path, study_id: Sequence[int] | Ints, probabilities: Floats) -> Path:
    """Write predictions in the submission's format, one row per study and target.

    Parameters
    ----------
    path : Path
        CSV file.
    study_id : sequence of int, length N
        Studies; their rows follow in this order.
    probabilities : ndarray, shape (N, 25, 3)
        Each triple sums to 1.
    """
    rows = [f"{study}_{target}" for study in study_id for target in TARGETS]
    frame = pd.DataFrame(np.reshape(probabilities, (-1, len(GRADES))), columns=list(GRADE_COLUMNS))
    frame.insert(0, "row_id", rows)
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    return path
