"""The one reader of the weights folder: which runs there are, their files, their configs, what they predicted.

A run is one config, trained or inferred with one fold held out, from one seed. Its files lie in
``<weights>/<config>/fold<k>/`` and have the seed in their names.

python -m lumbar.engine.runs weights/cfg_dh_05b5_loc 0 1 2 3          (each fold's newest checkpoint)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar import cli
from lumbar.anatomy import GRADES, TARGETS
from lumbar.cli import UserError
from lumbar.config import Config, find_module, load_config, module_names
from lumbar.engine import checkpoint
from lumbar.images.cache import published

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHECKPOINT: Final = "checkpoint_last_seed{seed}.pth"
VAL_DATA: Final = "val_data_seed{seed}.pth"
SNAPSHOT: Final = "config_seed{seed}.json"
HISTORY: Final = "history_seed{seed}.csv"

ANY_FILE: Final = "*_seed{seed}.*"

ANY_SEED: Final = -1

DEBUG: Final = "_debug"
"""Ends the name of a trial run's folder."""


@dataclass(frozen=True, order=True)
class Run:
    """One config, trained or inferred with one fold held out.

    Parameters
    ----------
    folder : Path
        ``<weights>/<config>/fold<k>``.
    seed : int
        Seed of the run.
    """

    folder: Path
    seed: int

    def __str__(self) -> str:
        return f"{self.config}, fold {self.fold}, seed {self.seed}"

    @property
    def config(self) -> str:
        """Name of its config's folder."""
        return self.folder.parent.name

    @property
    def fold(self) -> int:
        """Held-out fold; -1 for none."""
        return int(self.folder.name.removeprefix("fold"))

    @property
    def checkpoint(self) -> Path:
        """File of its weights."""
        return self.folder / CHECKPOINT.format(seed=self.seed)

    @property
    def val_data(self) -> Path:
        """File of its outputs over the held-out patients."""
        return self.folder / VAL_DATA.format(seed=self.seed)

    @property
    def snapshot(self) -> Path:
        """File of what made it: all keys of its config, the command, the commit, library versions."""
        return self.folder / SNAPSHOT.format(seed=self.seed)

    @property
    def history_file(self) -> Path:
        """File of its history, one row per validation."""
        return self.folder / HISTORY.format(seed=self.seed)

    @cached_property
    def record(self) -> dict[str, Any]:
        """Content of its snapshot; empty for a network from elsewhere, which has none.

        Raises
        ------
        UserError
            If the snapshot is damaged.
        """
        if not self.snapshot.is_file():
            return {}
        try:
            content = json.loads(self.snapshot.read_text())
            dict(content["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.snapshot}: not the record of a run ({type(error).__name__})") from error
        return dict(content)

    @cached_property
    def cfg(self) -> Config:
        """Config with the values of the snapshot.

        Without a snapshot it counts as a published run of the config of its folder's name, which was trained on
        published pictures.

        Raises
        ------
        UserError
            If the snapshot is damaged, or there is neither a snapshot nor such a config.
        """
        known = self.config in module_names("configs")
        if not (known or self.record):
            raise UserError(f"{self.snapshot}: no such file, and no config is named {self.config!r}")
        base = load_config(self.config) if known else Config(name=self.config)
        return restore_config(base, self.record["config"] if self.record else {"cache": published(base.cache)})

    def history(self) -> pd.DataFrame:
        """Read its history: one row per validation; empty where there is none or it cannot be read."""
        try:
            return pd.read_csv(self.history_file)
        except (OSError, ValueError):
            return pd.DataFrame()


def restore_config(base: Config, values: Mapping[str, Any]) -> Config:
    """Make a config of values that were written as JSON.

    Parameters
    ----------
    base : Config
        Its name, and keys that are not in `values`, are those of the result.
    values : mapping
        Values by key; keys that configs no longer have are passed over.
    """
    known = {field.name for field in fields(base)}
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
    }
    return replace(base, **(plain | {"name": base.name, "pretrained": False, "compile": False}))


def fold_folder(weights: Path, config: str, fold: int) -> Path:
    """Give the folder of everything that runs of a config and fold write."""
    return weights / config / f"fold{fold}"


def seed_of(path: Path) -> int:
    """Read the seed off the name of a run's file; -1 when it has none."""
    match = re.search(r"_seed(\d+)\.(?:pth|json|csv)$", path.name)
    return int(match[1]) if match else ANY_SEED


def runs_in(folder: Path, file: str = ANY_FILE, seed: int = ANY_SEED) -> list[Run]:
    """List the runs of a folder that left a file.

    Parameters
    ----------
    folder : Path
        Of one config and fold; one that does not exist has no run.
    file : str
        Kind of file: `CHECKPOINT`, `VAL_DATA`.
    seed : int
        Only the run of this seed.

    Returns
    -------
    list of Run
        The one with the newest file last.
    """
    paths = folder.glob(file.format(seed="*" if seed == ANY_SEED else seed))
    by_age = sorted((path for path in paths if seed_of(path) >= 0), key=lambda path: (path.stat().st_mtime_ns, path))
    return [Run(folder, found) for found in dict.fromkeys(map(seed_of, by_age))]


def runs_of(config_folder: Path, file: str = ANY_FILE) -> list[Run]:
    """List the runs of all folds of ``<weights>/<config>`` that left a file, by fold and seed."""
    folders = [path for path in config_folder.glob("fold*") if re.fullmatch(r"fold-?\d+", path.name)]
    return sorted(run for folder in folders for run in runs_in(folder, file))


def newest_checkpoint(folder: Path, seed: int = ANY_SEED) -> Path:
    """Choose a folder's checkpoint: that of a seed, or the newest.

    Raises
    ------
    UserError
        If there is none.
    """
    found = runs_in(folder, CHECKPOINT, seed)
    if not found:
        wanted = CHECKPOINT.format(seed="*" if seed == ANY_SEED else seed)
        raise UserError(f"{folder}: no {wanted}; train that config and fold first")
    return found[-1].checkpoint


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
    found = []
    for run in (run for name in names for run in runs_of(weights / name)):
        try:
            _ = run.cfg
        except UserError as error:
            notes.append(f"{run}: {error}; left out")
        else:
            found.append(run)
    return found


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
    unexpected = np.setdiff1d(study_id, rows["study_id"])
    if len(unexpected):
        raise UserError(
            f"{run.val_data}: predicts study {unexpected[0]}, which is not in fold {max(run.fold, 0)} of the fold "
            "file; it was made with other folds and is not out-of-fold here: train it again"
        )
    if "predicted" in output:  # an ensemble answers for all targets
        logits = np.where(output["predicted"].numpy()[..., None], logits, np.nan)
    order = study_id.argsort()
    return study_id[order], logits[order]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the checkpoint of each fold, as ``fold <k>: <path>``; exit status 0, or a `UserError` for missing folds."""
    parser = cli.parser(__doc__ or "", data=False, workers=False)
    parser.add_argument("folder", type=Path, help="a config's folder, weights/<config>")
    parser.add_argument("folds", type=int, nargs="+", help="folds, -1 for the one of all patients")
    parser.add_argument("--seed", type=int, default=ANY_SEED, help="of the checkpoints (default: the newest)")
    parser.add_argument("--allow-missing", action="store_true", help="leave out folds without a checkpoint")
    options = parser.parse_args(argv)
    weights, config = options.folder.parent, options.folder.name
    found = {fold: runs_in(fold_folder(weights, config, fold), CHECKPOINT, options.seed) for fold in options.folds}
    missing = " ".join(str(fold) for fold, runs in found.items() if not runs)
    if missing and not (options.allow_missing and any(found.values())):
        wanted = CHECKPOINT.format(seed="*" if options.seed == ANY_SEED else options.seed)
        raise UserError(
            f"no {options.folder}/fold<k>/{wanted} for fold(s) {missing}: train them (train_parallel.sh), choose "
            "others with --folds, or leave them out with --allow-missing"
        )
    for fold, runs in found.items():
        if runs:
            print(f"fold {fold}: {runs[-1].checkpoint}")
    if missing:
        print(f"left out, having no checkpoint: fold(s) {missing}")
    return 0


if __name__ == "__main__":
    cli.run(main)
