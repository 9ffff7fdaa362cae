"""Runs in the weights folder: which there are, which is the newest, what config each has."""

import json
import os
from pathlib import Path

import pytest

from lumbar.cli import UserError
from lumbar.config import load_config
from lumbar.engine.runs import CHECKPOINT, Run, newest_checkpoint, runs_in, runs_of, seed_of

CONFIG = "cfg_dh_29g"


def trained(folder: Path, *seeds: int) -> None:
    """Lay down checkpoints, the first seed's the newest."""
    folder.mkdir(parents=True, exist_ok=True)
    for age, seed in enumerate(seeds):
        path = Run(folder, seed).checkpoint
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))


def test_the_newest_checkpoint_unless_a_seed_is_named(tmp_path: Path) -> None:
    trained(tmp_path, 3, 12, 5)
    (tmp_path / "checkpoint_last_seed7.pth.part").touch()
    assert newest_checkpoint(tmp_path).name == "checkpoint_last_seed3.pth"
    assert newest_checkpoint(tmp_path, 5).name == "checkpoint_last_seed5.pth"
    assert [run.seed for run in runs_in(tmp_path, CHECKPOINT)] == [5, 12, 3]
    assert runs_in(tmp_path / "none") == []
    with pytest.raises(UserError, match=r"no checkpoint_last_seed4.pth; train that config and fold first"):
        newest_checkpoint(tmp_path, 4)
    assert seed_of(tmp_path / "checkpoint_last_seed12.pth") == 12
    assert seed_of(tmp_path / "published.pth") == -1


def test_all_runs_of_a_config_by_fold_and_seed(tmp_path: Path) -> None:
    for fold, seeds in ((0, (10, 9)), (-1, (1,)), (2, ())):
        trained(tmp_path / CONFIG / f"fold{fold}", *seeds)
    trained(tmp_path / CONFIG / "fold_old", 1)
    Run(tmp_path / CONFIG / "fold2", 4).snapshot.touch()
    assert [(run.fold, run.seed) for run in runs_of(tmp_path / CONFIG)] == [(-1, 1), (0, 9), (0, 10), (2, 4)]
    assert [(run.fold, run.seed) for run in runs_of(tmp_path / CONFIG, CHECKPOINT)] == [(-1, 1), (0, 9), (0, 10)]


def test_the_config_is_that_of_the_snapshot(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine" / "fold1", 4)
    run.folder.mkdir(parents=True)
    run.snapshot.write_text(json.dumps({"config": {"parts": ["nfn"], "lr": 0.5, "of_long_ago": 1}}))
    assert (run.cfg.name, run.cfg.parts, run.cfg.lr) == ("mine", ("nfn",), 0.5)
    assert str(run) == "mine, fold 1, seed 4"


def test_without_a_snapshot_a_run_counts_as_published(tmp_path: Path) -> None:
    cfg = Run(tmp_path / CONFIG / "fold0", 1).cfg
    assert cfg.cache == load_config(CONFIG).cache + "published"
    with pytest.raises(UserError, match=r"config_seed1\.json: no such file, and no config is named 'mine'"):
        _ = Run(tmp_path / "mine" / "fold0", 1).cfg
