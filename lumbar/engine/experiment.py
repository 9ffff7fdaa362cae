"""From a config's names to objects: the four modules, the patients of each side, the datasets, the seed."""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from lumbar import tables
from lumbar.cli import UserError
from lumbar.config import Config, find_module
from lumbar.engine import runs
from lumbar.items.augment import Mode, build_augmentation


@dataclass(frozen=True)
class Modules:
    """The modules that a config names."""

    data: ModuleType
    model: ModuleType
    postprocess: ModuleType
    metric: ModuleType


def find_modules(cfg: Config) -> Modules:
    """Import the modules that a config names, and check that each keeps its side of the contract."""
    return Modules(
        find_module(
            "data",
            cfg.dataset,
            ["CustomDataset", "tr_collate_fn", "val_collate_fn", "batch_to_device"],
            "config key 'dataset'",
        ),
        find_module("models", cfg.model, ["Net"], "config key 'model'"),
        find_module(
            "postprocess",
            cfg.post_process_pipeline,
            ["post_process_pipeline"],
            "config key 'post_process_pipeline'",
        ),
        find_module("metrics", cfg.metric, ["calc_metric"], "config key 'metric'"),
    )


def output_folder(cfg: Config) -> Path:
    """Folder of everything that a run of this config and fold writes."""
    return runs.fold_folder(Path(cfg.weights_dir), cfg.name, cfg.fold)


def complete(cfg: Config) -> Config:
    """Fill in what a config leaves open: the debug settings, the checkpoint to start from, the seed.

    A drawn seed follows the checkpoint where there is one: when resuming, the newest of this config and fold; when
    only inferring, that of the weights, so that a prediction names the run that it comes from.

    Raises
    ------
    UserError
        If there is nothing to do, or no weights to infer with.
    """
    if not (cfg.train or cfg.val):
        raise UserError("config keys 'train' and 'val' are both False: nothing to do", status=2)
    if not cfg.train and cfg.pretrained_weights is None:
        raise UserError(
            f"{cfg.name} only infers: give the trained network as --pretrained_weights (a checkpoint or a folder of "
            "them), or let infer_model1.sh do so fold by fold",
            status=2,
        )
    if cfg.debug:
        cfg = dataclasses.replace(cfg, name=f"{cfg.name}_debug", epochs=1)
    seed: int = cfg.seed
    changes: dict[str, Any] = {}
    if cfg.pretrained_weights is not None:
        weights = Path(cfg.pretrained_weights.replace("{fold}", str(cfg.fold)))
        weights = runs.newest_checkpoint(weights, cfg.seed) if weights.is_dir() else weights
        changes["pretrained_weights"] = str(weights)
        if cfg.strict and not cfg.pop_weights:
            changes["pretrained"] = False  # all of the hub's weights would be overwritten
        if seed < 0 and not cfg.train:
            seed = runs.seed_of(weights)
    if seed < 0 and cfg.resume_training:
        earlier = runs.runs_in(output_folder(cfg), runs.CHECKPOINT)
        seed = earlier[-1].seed if earlier else seed
    changes["seed"] = seed if seed >= 0 else secrets.randbelow(2**31)
    if cfg.resume_training and runs.Run(output_folder(cfg), seed).checkpoint.is_file():
        changes["pretrained"] = False
    return dataclasses.replace(cfg, **changes)


def split_patients(cfg: Config) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the fold file and divide its rows into training and held-out patients.

    Returns
    -------
    training, held_out : DataFrame
        Rows of the fold file; with fold -1 all rows, and those of fold 0.

    Raises
    ------
    UserError
        If the file is missing or has no such fold.
    """
    folds = tables.read_table(Path(cfg.data_dir), dataclasses.replace(tables.FOLDS, path=cfg.folds_table))
    held_out = folds[folds["fold"] == max(cfg.fold, 0)]
    if held_out.empty:
        known = ", ".join(str(fold) for fold in sorted(folds["fold"].unique()))
        raise UserError(f"config key 'fold': {cfg.folds_table} has no fold {cfg.fold}, only {known}", status=2)
    training = folds if cfg.fold < 0 else folds[folds["fold"] != cfg.fold]
    return training.reset_index(drop=True), held_out.reset_index(drop=True)


def make_dataset(cfg: Config, modules: Modules, patients: pd.DataFrame, mode: Mode) -> Any:
    """Build the config's dataset over some patients.

    Parameters
    ----------
    cfg : config
        Config of the run.
    modules : Modules
        What it names.
    patients : DataFrame
        Rows of the fold file.
    mode : str
        ``train`` or ``val``.

    Raises
    ------
    UserError
        If these patients give no item.
    """
    dataset = modules.data.CustomDataset(patients, cfg, build_augmentation(cfg, mode), mode)
    if not len(dataset):
        count = patients["study_id"].nunique()
        raise UserError(f"dataset {cfg.dataset}: no item in the {count} studies of fold {cfg.fold} ({mode})")
    return dataset
