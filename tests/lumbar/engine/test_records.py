import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lumbar.config import load_config
from lumbar.engine import records


def config(**keys: Any) -> Any:
    return load_config("cfg_dh_29g", {key: str(value) for key, value in ({"seed": 4} | keys).items()})


def test_history_keeps_the_rows_up_to_where_a_run_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    history = records.History(path, 0)
    assert history.last_step == -1
    history.add({"step": 3, "train_loss": 0.5})
    history.add({"step": 6, "train_loss": 0.25, "val_score": 1.0})
    assert path.read_text() == "step,train_loss,val_score\n3,0.5,\n6,0.25,1.0\n"
    resumed = records.History(path, 5)
    assert resumed.last_step == 3
    resumed.add({"step": 6, "train_loss": 0.125})
    assert path.read_text() == "step,train_loss,val_score\n3,0.5,\n6,0.125,\n"


def test_the_snapshot_says_what_made_a_run(tmp_path: Path) -> None:
    records.write_snapshot(config(lr=0.5), tmp_path, world=2)
    content = json.loads((tmp_path / "config_seed4.json").read_text())
    assert content["config"]["lr"] == 0.5 and content["ranks"] == 2
    assert content["versions"].keys() >= {"python", "torch", "timm"}
    assert records.changed_keys(config(lr=0.5, num_workers=1, resume_training=True), tmp_path) == []
    assert records.changed_keys(config(lr=0.25, parts="nfn"), tmp_path) == ["lr", "parts"]
    assert records.changed_keys(config(seed=5), tmp_path) == []


def test_tensorboard_files_hold_what_was_logged(tmp_path: Path) -> None:
    trackers = records.Trackers(config(), tmp_path, 0)
    trackers.log({"val_score": 0.5, "val_ss": float("nan")}, 7)
    trackers.close()
    events = EventAccumulator(str(tmp_path / "tensorboard_seed4")).Reload()
    assert events.Tags()["scalars"] == ["val/score"]
    assert [(event.step, event.value) for event in events.Scalars("val/score")] == [(7, 0.5)]


def test_a_tracker_that_fails_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "neptune", None)
    trackers = records.Trackers(config(neptune_project="team/spine"), tmp_path, 0)
    assert "tracking: import of neptune halted" in caplog.text
    trackers._sinks.append(records.Sink(lambda values, step: bool(1 // 0), list))
    for step in (1, 2):
        trackers.log({"loss": 1.0}, step)
    assert caplog.text.count("by zero; training goes on without it") == 1
    trackers.close()


@pytest.mark.filterwarnings("ignore")  # of the client's own libraries
def test_neptune_records_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPTUNE_DATA_DIRECTORY", str(tmp_path / "neptune"))
    trackers = records.Trackers(config(neptune_project="team/spine"), tmp_path, 0)
    assert len(trackers._sinks) == 2
    trackers.log({"val_score": 0.5}, 1)
    trackers.close()
    assert any((tmp_path / "neptune").rglob("*"))
