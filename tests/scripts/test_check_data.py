from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lumbar.anatomy import TARGETS
from lumbar.tables import LABEL_COORDINATES, TRAIN, TRAIN_SERIES, write_table


def make_download(data: Path) -> None:
    write_table(pd.DataFrame(dict.fromkeys(TARGETS, "Severe"), index=[0]).assign(study_id=1), data, TRAIN)
    write_table(pd.DataFrame([(1, 10, "Axial T2")], columns=list(TRAIN_SERIES.columns)), data, TRAIN_SERIES)
    marks = [(1, 10, 1, "Left Subarticular Stenosis", "L1/L2", 5.0, 5.0)]
    write_table(pd.DataFrame(marks, columns=list(LABEL_COORDINATES.columns)), data, LABEL_COORDINATES)
    (data / "train_images" / "1" / "10").mkdir(parents=True)
    (data / "train_images" / "1" / "10" / "1.DCM").touch()


def test_the_exit_status_says_whether_the_data_is_fit(tmp_path: Path, run_script: Callable) -> None:
    data, page = tmp_path / "data", tmp_path / "pages" / "check.html"
    make_download(data)
    table = tmp_path / "check.csv"
    done = run_script("check_data.py", "--data", data, "--html", page, "--csv", table)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(table, dtype=str)
    assert ["warning", "studies have a Sagittal T1 series", "1"] in rows[
        ["severity", "check", "case"]
    ].to_numpy().tolist()
    assert run_script("check_data.py", "--data", data, "--csv", table).returncode == 0
    assert "fit to train on: no errors" in done.stdout.splitlines()[-1]
    assert page.read_text().rstrip().endswith("</html>")

    (data / LABEL_COORDINATES.path).unlink()
    done = run_script("check_data.py", "--data", data)
    assert done.returncode == 1
    assert "not fit to train on: 'train_label_coordinates.csv can be read' fails" in done.stdout.splitlines()[-1]


def test_a_table_of_findings_replaces_nothing_else(tmp_path: Path, run_script: Callable) -> None:
    make_download(tmp_path)
    done = run_script("check_data.py", "--data", tmp_path, "--csv", tmp_path / LABEL_COORDINATES.path)
    assert done.returncode == 2
    assert "train_label_coordinates.csv: is there already, and is no earlier output" in done.stderr
    done = run_script("check_data.py", "--data", tmp_path, "--csv", tmp_path / "a", "--html", tmp_path / "a")
    assert done.returncode == 2
    assert "choose another" in done.stderr


def test_a_folder_that_is_no_download_is_bad_use(tmp_path: Path, run_script: Callable) -> None:
    done = run_script("check_data.py", "--data", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "train_images: no such folder" in done.stderr
