from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from lumbar.anatomy import TARGETS
from lumbar.tables import FOLDS, TRAIN, TRAIN_SERIES, read_table

SCRIPT = "make_folds.py"


def make_download(data: Path, studies: int) -> None:
    data.mkdir(exist_ok=True)
    ids = np.arange(studies) + 10
    grades = pd.DataFrame(dict.fromkeys(TARGETS, "Moderate"), index=range(studies))
    grades.loc[0, TARGETS[0]] = None
    grades.assign(study_id=ids).to_csv(data / TRAIN.path, index=False)
    rows = [(study, study * 10 + k, kind) for study in ids[:-1] for k, kind in enumerate(("Sagittal T1", "Axial T2"))]
    pd.DataFrame(rows, columns=list(TRAIN_SERIES.columns)).to_csv(data / TRAIN_SERIES.path, index=False)


def test_the_command_writes_the_same_table_each_time_and_reports(tmp_path: Path, run_script: Callable) -> None:
    make_download(tmp_path, 9)
    first = run_script(SCRIPT, "--data", tmp_path)
    assert first.returncode == 0, first.stderr
    content = (tmp_path / FOLDS.path).read_bytes()
    rows = read_table(tmp_path, FOLDS)
    assert len(rows) == 16
    assert sorted(rows["fold"].unique()) == [0, 1, 2, 3]
    assert rows.loc[rows["study_id"] == 10, TARGETS[0]].isna().all()
    assert "1 studies in train.csv without a series, left out: 18" in first.stderr
    assert "SS Moderate" in first.stdout
    assert first.stdout.splitlines()[-1].endswith("8 studies, 16 series, 4 folds, seed 0")
    run_script(SCRIPT, "--data", tmp_path)
    assert (tmp_path / FOLDS.path).read_bytes() == content


def test_mistakes_are_one_line(tmp_path: Path, run_script: Callable) -> None:
    missing = run_script(SCRIPT, "--data", tmp_path / "nowhere")
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
    assert "train.csv: no such file; make it with scripts/download_data.sh" in missing.stderr
    make_download(tmp_path, 4)
    few = run_script(SCRIPT, "--data", tmp_path, "--folds", "5")
    assert few.returncode == 1
    assert "3 studies cannot fill 5 folds" in few.stderr
    assert run_script(SCRIPT, "--data", tmp_path, "--folds", "1").returncode == 2
