from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lumbar.cli import UserError
from lumbar.engine.runs import Run, find_runs, predicted_grades
from lumbar.report.histories import learning_curves, run_line, troubles

Grades = Callable[..., dict[str, torch.Tensor]]


def find(weights: Path, *configs: str) -> dict[tuple[str, int, int], Run]:
    notes: list[str] = []
    runs = find_runs(weights, configs, notes)
    assert notes == []
    return {(run.config, run.fold, run.seed): run for run in runs}


def test_every_run_is_found_and_trials_only_when_asked_for(tmp_path: Path, run_writer: Callable[..., Path]) -> None:
    for config, fold, seed in (("cfg_dh_29a2", 0, 1), ("cfg_dh_29a2", -1, 12), ("cfg_dh_12y8", 3, 0)):
        run_writer(tmp_path, config, fold, seed)
    run_writer(tmp_path, "cfg_dh_12y8", 0, 5).parent.rename(tmp_path / "cfg_dh_12y8_debug")
    run_writer(tmp_path, "cfg_dh_12y8", 3, 0)
    (tmp_path / "cfg_dh_29a2" / "folder").mkdir()
    (tmp_path / "README.md").touch()
    assert set(find(tmp_path)) == {("cfg_dh_29a2", 0, 1), ("cfg_dh_29a2", -1, 12), ("cfg_dh_12y8", 3, 0)}
    assert set(find(tmp_path, "cfg_dh_12y8_debug")) == {("cfg_dh_12y8_debug", 0, 5), ("cfg_dh_12y8_debug", 3, 0)}
    assert find(tmp_path, "cfg_dh_29g") == {}


def test_a_run_without_a_snapshot_has_the_config_of_its_name(mini: Path) -> None:
    run = find(mini / "weights")[("cfg_dh_14s10a_locsag", 1, 1)]
    assert run.cfg.metric == "default_metric"
    assert run.history().empty
    line = run_line(run, run.history())
    assert line.commit == ""
    assert np.isnan([line.epochs, line.minutes, line.score]).all()


def test_a_damaged_snapshot_costs_its_run_alone(tmp_path: Path, run_writer: Callable[..., Path]) -> None:
    run_writer(tmp_path, "cfg_dh_29a2", 1, 1)
    Run(run_writer(tmp_path, "cfg_dh_29a2", 0, 1), 1).snapshot.write_text("{}")
    notes: list[str] = []
    assert [run.fold for run in find_runs(tmp_path, (), notes)] == [1]
    snapshot = tmp_path / "cfg_dh_29a2" / "fold0" / "config_seed1.json"
    assert notes == [f"cfg_dh_29a2, fold 0, seed 1: {snapshot}: not the record of a run (KeyError); left out"]


def test_a_history_is_summed_up(tmp_path: Path, run_writer: Callable[..., Path]) -> None:
    run_writer(tmp_path, "cfg_dh_29a2", 2, 1)
    run = find(tmp_path)[("cfg_dh_29a2", 2, 1)]
    history = run.history()
    assert run_line(run, history) == ("cfg_dh_29a2", 2, 1, 3, 12, 3, 1 / 3, 2 / 3, 0.5, "0123456789 + changes")
    assert troubles(run, history) == []
    worse = history.assign(nonfinite=[0, 2, 1]).iloc[:2]
    assert troubles(run, worse) == [
        "cfg_dh_29a2, fold 2, seed 1: 2 steps with a non-finite loss were skipped",
        "cfg_dh_29a2, fold 2, seed 1: stopped after epoch 2 of 3",
    ]
    inferred = history.drop(columns="train_loss")
    assert np.isnan(run_line(run, inferred).score)
    assert learning_curves("cfg_dh_29a2", {run: inferred}) == []
    loss, score = learning_curves("cfg_dh_29a2", {run: history})
    assert "fold 2" in loss
    assert "validation: score" in score


def test_grades_come_through_the_config_s_own_post_processing(trained: Path, mini_folds: pd.DataFrame) -> None:
    run = find(trained / "weights")[("cfg_dh_12y8", 0, 1)]
    result = predicted_grades(run, mini_folds)
    assert result is not None
    study_id, logits = result
    assert study_id.tolist() == sorted(set(mini_folds.query("fold == 0")["study_id"]))
    assert logits.shape == (len(study_id), 25, 3)
    assert not np.isnan(logits[:, :15]).any()
    assert np.isnan(logits[:, 15:]).all()


@pytest.mark.parametrize("key", [("cfg_dh_05b5_loc", 0, 1), ("cfg_dh_14s10a_locsag", 0, 1)])
def test_a_localiser_or_a_run_without_outputs_has_no_grades(
    key: tuple[str, int, int], trained: Path, mini_folds: pd.DataFrame
) -> None:
    assert predicted_grades(find(trained / "weights")[key], mini_folds) is None


def test_outputs_of_other_patients_or_of_another_kind_are_refused(trained: Path, mini_folds: pd.DataFrame) -> None:
    run = find(trained / "weights")[("cfg_dh_29a2", 0, 1)]
    with pytest.raises(UserError, match="which is not in fold 0 of the fold file"):
        predicted_grades(run, mini_folds.assign(fold=(mini_folds["fold"] + 1) % 4))
    torch.save({"logits": torch.zeros(3, 2)}, run.val_data)
    with pytest.raises(UserError, match=r"val_data_seed1.pth is not what the config makes \(KeyError"):
        predicted_grades(run, mini_folds)
    run.val_data.write_bytes(b"damaged")
    with pytest.raises(UserError, match="or damaged"):
        predicted_grades(run, mini_folds)


def test_an_ensemble_under_a_name_of_its_own_is_read(
    tmp_path: Path, run_writer: Callable[..., Path], mini_folds: pd.DataFrame
) -> None:
    ids = torch.tensor(sorted(set(mini_folds.query("fold == 1")["study_id"])))
    output = {"logits": torch.ones(len(ids), 25, 3), "study_id": ids.flip(0)}
    folder = run_writer(tmp_path, "cfg_mlp", 1, 0, output).parent
    folder.rename(tmp_path / "mine")
    result: Any = predicted_grades(find(tmp_path)[("mine", 1, 0)], mini_folds)
    assert result[0].tolist() == ids.tolist()
