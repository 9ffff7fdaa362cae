"""Which trained networks there are: in the tree that training left, or in a folder that was packed for transport.

A packed folder (`scripts/pack_weights.py`) is flat: one file of weights per network and `INDEX`, which names each with
the values of its config, its size and its SHA-256. It is used whole or not at all: a damaged one is refused. In a tree
a checkpoint that cannot be used is left out, with a message, as long as its config has another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lumbar.cli import UserError
from lumbar.config import Config, keys_that_matter, load_config
from lumbar.engine.runs import CHECKPOINT, restore_config, runs_of
from lumbar.roles import AXIAL, CLASSIFIERS, MLP, SAGITTAL, SLICES

CONFIGS: Final = (AXIAL, SAGITTAL, SLICES, *CLASSIFIERS, MLP)
"""Configs that a prediction uses."""

INDEX: Final = "index.json"
FORMAT: Final = 1


@dataclass(frozen=True)
class Trained:
    """One trained network."""

    path: Path
    """File of its weights."""
    fold: int
    """The fold held out in training; -1 for none."""
    seed: int
    cfg: Config
    """The config with the values that it was trained with."""


def find_checkpoints(weights: Path, problems: list[str]) -> dict[str, list[Trained]]:
    """Find all networks of all folds and seeds.

    Parameters
    ----------
    weights : Path
        A tree ``<config>/fold<k>/checkpoint_last_seed<s>.pth``, or a packed folder.
    problems : list of str
        Gets one line per checkpoint of a tree that is left out.

    Returns
    -------
    dict of str to list of Trained
        Networks by config, for those in `CONFIGS` that have any.

    Raises
    ------
    UserError
        If there is none; if a packed folder is damaged or incomplete.
    """
    if not weights.is_dir():
        raise UserError(f"{weights}: no such folder; expected trained weights (train.py) or packed ones", status=2)
    packed = (weights / INDEX).is_file()
    trained = list(_read_index(weights) if packed else _search_tree(weights, problems))
    by_config = {name: [each for each in trained if each.cfg.name == name] for name in CONFIGS}
    found = {name: _agreeing(members, packed, problems) for name, members in by_config.items() if members}
    if not found:
        more = f"; {problems[0]}" if problems else ""
        raise UserError(
            f"{weights}: no <config>/fold<k>/checkpoint_last_seed<s>.pth of {', '.join(CONFIGS)}, and no packed "
            f"{INDEX}{more}",
            status=2,
        )
    return found


def _search_tree(weights: Path, problems: list[str]) -> Iterable[Trained]:
    """Find the checkpoints that training left."""
    for run in (run for name in CONFIGS for run in runs_of(weights / name, CHECKPOINT)):
        try:
            trained_as = run.record["config"].get("name") if run.record else run.config
            if trained_as != run.config:
                raise UserError(f"{run.checkpoint}: is of config {trained_as}, but lies in the folder of {run.config}")
            trained = Trained(run.checkpoint, run.fold, run.seed, run.cfg)
        except UserError as error:
            problems.append(f"{error}; left out")
        else:
            yield trained


def inference_values(cfg: Config) -> dict[str, Any]:
    """Give the values in which the networks of one config must agree to be averaged, as JSON has them.

    Tables are named without their folders.
    """
    values = {name: value for name, value in asdict(cfg).items() if name in keys_that_matter("always")}
    values["oof"] = [Path(path).name for path in cfg.oof]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _agreeing(members: Sequence[Trained], packed: bool, problems: list[str]) -> list[Trained]:
    """Leave out networks that were trained with other values than most of their config."""
    values = [inference_values(member.cfg) for member in members]
    usual = max(values, key=values.count)
    for member, found in zip(members, values, strict=True):
        if found != usual:
            differing = ", ".join(
                f"{key} {found[key]!r} instead of {usual[key]!r}" for key in found if found[key] != usual[key]
            )
            problem = f"{member.path}: was trained with {differing} of the other networks of {member.cfg.name}"
            if packed:
                raise UserError(problem)
            problems.append(f"{problem}; left out")
    return [member for member, found in zip(members, values, strict=True) if found == usual]


# ------------------------------------------------------------------------------------------------------ packed folders


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entry(trained: Trained, path: Path) -> dict[str, Any]:
    """Describe a network for the index; `path` is its file in the packed folder."""
    return {
        "file": path.name,
        "config": trained.cfg.name,
        "fold": trained.fold,
        "seed": trained.seed,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "values": inference_values(trained.cfg),
    }


def packed_files(folder: Path) -> list[str]:
    """List the networks' files that a packed folder's index names.

    Raises
    ------
    UserError
        If the index is none.
    """
    try:
        return [str(each["file"]) for each in json.loads((folder / INDEX).read_text())["networks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / INDEX}: not the index of packed weights; choose another folder", 2) from error


def _read_index(weights: Path) -> Iterable[Trained]:
    """Read and check a packed folder."""
    index = weights / INDEX
    again = "pack or copy the folder again"
    try:
        content = json.loads(index.read_text())
        if content["format"] != FORMAT:
            raise UserError(f"{index}: format {content['format']}, expected {FORMAT}; pack the weights again")
        for each in content["networks"]:
            path = weights / Path(each["file"]).name
            if not path.is_file():
                raise UserError(f"{path}: is missing; {again}")
            if path.stat().st_size != each["bytes"] or sha256(path) != each["sha256"]:
                raise UserError(f"{path}: is damaged (its SHA-256 is not that of {INDEX}); {again}")
            yield Trained(path, each["fold"], each["seed"], restore_config(load_config(each["config"]), each["values"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{index}: not the index of packed weights ({type(error).__name__}); {again}") from error
