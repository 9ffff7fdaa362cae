import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import TARGETS
from lumbar.phantom.competition import Options, deal_tasks, make_competition
from lumbar.phantom.irregular import TRAIN_ODDITIES
from lumbar.tables import LABEL_COORDINATES, TEST_SERIES, TRAIN, TRAIN_SERIES, read_table, write_table


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


NAMED_BY = {
    "missing series type": "studies have a ",
    "JPEG 2000": "pixels are stored uncompressed",
    "two axial series": "one series of each type",
    "missing tags": "SliceThickness is present",
    "two stacks in one series": "instance numbers follow the stack",
    "MONOCHROME1": "the greatest pixel is white",
    "instance number gaps": "instance numbers have no gaps",
    "signed pixels": "pixels are stored unsigned",
    "high instance numbers": "instance numbers start at 1",
    "several windows": "slices have one window",
    "slices of another size": "slices of a series have one size",
    "RLE": "pixels are stored uncompressed",
    "duplicated positions": "slices of a series differ in position",
    "no window": "slices have one window",
    "two T1 series": "one series of each type",
    "axial series in two parts": "SS points stand on one axial series",
    "restarted instance numbers": "instance numbers follow the stack",
    "scout in each series": "slices lie in the plane of their series",
    "enhanced multi-frame": "a file holds one slice",
    "corner clicks": "labels keep clear of the corners",
}
"""The finding that names a study, or one of its series, for each oddity. Instance numbers that run the other way are
none: both ways are usual, and the overview counts them."""


@pytest.mark.slow
def test_every_oddity_of_a_phantom_is_named(
    tmp_path: Path, run_script: Callable, monkeypatch: pytest.MonkeyPatch, forked: None
) -> None:
    def noise(_patient: object, planes: list, shape: tuple[int, int], *others: object) -> Iterator[np.ndarray]:
        yield from (np.full(shape, 900, np.uint16) for _ in planes)

    monkeypatch.setattr("lumbar.phantom.study.render_series", noise)
    options = Options(len(TRAIN_ODDITIES), 1, 4, "small", 1.0)
    make_competition(tmp_path, options)
    for script, *arguments in (
        ("prepare.py", "--workers", 1),
        ("make_folds.py", "--folds", 2),
        ("make_sag_loc_labels_part2.py", "--source", "spinenet", "--workers", 1),
        ("check_data.py", "--csv", tmp_path / "check.csv"),
    ):
        done = run_script(script, "--data", tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "check.csv", dtype=str)
    series = pd.concat(read_table(tmp_path, table) for table in (TRAIN_SERIES, TEST_SERIES))
    for task in deal_tasks(tmp_path, options):
        if task.oddity in NAMED_BY:
            rows = found[found["check"].str.startswith(NAMED_BY[task.oddity])]
            numbers = {task.study_id, *series.loc[series["study_id"] == task.study_id, "series_id"]}
            named = {int(number) for case in rows["case"] for number in re.findall(r"\d{7,}", case)}
            assert numbers & named, task.oddity
    assert {task.oddity for task in deal_tasks(tmp_path, options)} == {*NAMED_BY, "reversed instance numbers"}
