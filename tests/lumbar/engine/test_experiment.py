import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lumbar import tables
from lumbar.anatomy import TARGETS
from lumbar.cli import UserError
from lumbar.config import load_config
from lumbar.engine.experiment import complete, split_patients


def config(**keys: Any) -> Any:
    return load_config("cfg_dh_29a2", {key: str(value) for key, value in keys.items()})


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of seeds 8 and 0 of fold 2, the latter the newest."""
    monkeypatch.chdir(tmp_path)
    for age, seed in enumerate((0, 8)):
        path = Path(f"weights/cfg_dh_29a2/fold2/checkpoint_last_seed{seed}.pth")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))


def test_a_named_seed_stays_and_another_is_drawn(trained: None) -> None:
    assert complete(config(seed=3)) == config(seed=3)
    drawn = {complete(config()).seed for _ in range(4)}
    assert len(drawn) == 4 and min(drawn) >= 0


def test_a_resumed_run_takes_the_newest_seed_and_no_weights_from_the_hub(trained: None) -> None:
    completed = complete(config(fold=2, resume_training=True))
    assert (completed.seed, completed.pretrained) == (0, False)
    assert complete(config(fold=2, resume_training=True, seed=8)).seed == 8
    assert complete(config(fold=2, resume_training=True, seed=5)).pretrained is True  # nothing to resume


def test_predictions_are_named_after_the_weights_they_come_from(trained: None) -> None:
    keys = {"train": False, "fold": 2, "pretrained_weights": "weights/cfg_dh_29a2/fold{fold}"}
    newest = complete(config(**keys))
    assert newest.pretrained_weights == "weights/cfg_dh_29a2/fold2/checkpoint_last_seed0.pth"
    assert (newest.seed, newest.pretrained) == (0, False)
    assert complete(config(**keys, seed=8)).pretrained_weights.endswith("seed8.pth")
    with pytest.raises(UserError, match=r"no checkpoint_last_seed3.pth"):
        complete(config(**keys, seed=3))


def test_partial_weights_leave_the_hub_s_in_place(trained: None) -> None:
    keys = {"pretrained": "fallback", "pretrained_weights": "x.pth"}
    assert complete(config(**keys)).pretrained is False
    assert complete(config(**keys, pop_weights="head")).pretrained == "fallback"
    assert complete(config(**keys, strict=False)).pretrained == "fallback"


def test_patients_are_divided_by_fold(tmp_path: Path) -> None:
    rows = [{"study_id": study, "series_id": study, "series_description": "x", "fold": study % 2} for study in range(6)]
    tables.write_table(pd.DataFrame(rows).assign(**dict.fromkeys(TARGETS, None)), tmp_path, tables.FOLDS)

    def studies(fold: int) -> list[list[int]]:
        return [side["study_id"].tolist() for side in split_patients(config(data_dir=tmp_path, fold=fold))]

    assert studies(1) == [[0, 2, 4], [1, 3, 5]]
    assert studies(-1) == [[0, 1, 2, 3, 4, 5], [0, 2, 4]]
    with pytest.raises(UserError, match=r"config key 'fold': train_folded_v1.csv has no fold 2, only 0, 1"):
        studies(2)
