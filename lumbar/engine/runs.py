"""What training left in the weights folder: runs, their histories, and what classifiers predicted out of fold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import GRADES, TARGETS
from lumbar.cli import UserError
from lumbar.config import Config, find_module, load_config
from lumbar.engine import checkpoint, records

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEBUG: Final = "_debug"
"""Ends the name of a trial run's folder."""

_SEED: Final = re.compile(r"(?:config|history|val_data|checkpoint_last)_seed(\d+)\.(?:json|csv|pth)")


@dataclass(frozen=True, eq=False)
class Run:
    """One config, trained or inferred with one fold held out.

    Parameters
    ----------
    config : str
        Name of its folder.
    fold, seed : int
        Held-out fold, -1 for none; seed.
    folder : Path
        Where its files lie.
    cfg : object
        Its config, by attribute.
    record : mapping
        Its snapshot: also `git_commit` and `versions`; empty for a network from elsewhere.
    """

    config: str
    fold: int
    seed: int
    folder: Path
    cfg: Config
    record: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.config}, fold {self.fold}, seed {self.seed}"

    @property
    def val_data(self) -> Path:
        """File of its outputs over the held-out patients."""
        return self.folder / checkpoint.VAL_DATA.format(seed=self.seed)

    def history(self) -> pd.DataFrame:
        """Read its history: one row per validation; empty where there is none or it cannot be read."""
        try:
            return pd.read_csv(self.folder / records.HISTORY.format(seed=self.seed))
        except (OSError, ValueError):
            return pd.DataFrame()


def find_runs(weights: Path, configs: Sequence[str], notes: list[str]) -> list[Run]:
    """Find all runs of some configs.

    Parameters
    ----------
    weights : Path
        Folder of ``<config>/fold<k>/``.
    configs : sequence of str
        Names of folders; empty takes all but trial runs.
    notes : list of str
        Gets a line per run whose config cannot be read; it is left out.
    """
    names = configs or [path.name for path in sorted(weights.iterdir()) if not path.name.endswith(DEBUG)]
    return [run for name in names for run in _runs_of(weights, name, notes)]


def _runs_of(weights: Path, name: str, notes: list[str]) -> Iterator[Run]:
    for folder in sorted((weights / name).glob("fold*")):
        if not re.fullmatch(r"fold-?\d+", folder.name):
            continue
        matches = (_SEED.fullmatch(path.name) for path in folder.iterdir())
        for seed in sorted({int(match[1]) for match in matches if match}):
            try:
                cfg, record = _read_config(name, folder / records.SNAPSHOT.format(seed=seed))
            except UserError as error:
                notes.append(f"{name}, {folder.name}, seed {seed}: {error}; left out")
            else:
                yield Run(name, int(folder.name.removeprefix("fold")), seed, folder, cfg, record)


def _read_config(name: str, snapshot: Path) -> tuple[Any, dict[str, Any]]:
    """Read the snapshot of a run; a run without one has the config of its name as it is now."""
    if not snapshot.is_file():
        return load_config(name), {}
    try:
        record = json.loads(snapshot.read_text())
        return SimpleNamespace(**record["config"]), record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{snapshot.name} is not the record of a run ({type(error).__name__})") from error


def predicted_grades(run: Run, folds: pd.DataFrame) -> tuple[Ints, Floats] | None:
    """Read what a classifier or ensemble predicted for the patients it was validated on.

    Parameters
    ----------
    run : Run
        The run.
    folds : DataFrame
        Rows of the fold file.

    Returns
    -------
    study_id : ndarray, shape (N)
        Studies of the held-out fold, ascending.
    logits : ndarray, shape (N, 25, 3)
        NaN where nothing was predicted. None instead of both where the run has no outputs or predicts no grades.

    Raises
    ------
    UserError
        If the outputs cannot be read, or are of other patients than those of the fold.
    """
    if not run.val_data.is_file():
        return None
    rows = folds[folds["fold"] == max(run.fold, 0)]
    needs = ["post_process_pipeline"]
    pipeline = find_module("postprocess", run.cfg.post_process_pipeline, needs, str(run)).post_process_pipeline
    content = checkpoint.load(run.val_data)
    try:
        output = pipeline(run.cfg, content, rows)
        if "study_id" not in output or output["logits"].shape[1:] != (len(TARGETS), len(GRADES)):
            return None
    except (KeyError, AttributeError, IndexError, ValueError) as error:
        raise UserError(f"{run.val_data} is not what the config makes ({type(error).__name__}: {error})") from error
    study_id, logits = output["study_id"].numpy(), output["logits"].double().numpy()
    stranger = np.setdiff1d(study_id, rows["study_id"])
    if len(stranger):
        raise UserError(
            f"{run.val_data}: predicts study {stranger[0]}, which is not in fold {max(run.fold, 0)} of the fold file; "
            "it was made with other folds and is not out-of-fold here: train it again"
        )
    order = study_id.argsort()
    return study_id[order], np.where(logits.any(-1, keepdims=True), logits, np.nan)[order]
