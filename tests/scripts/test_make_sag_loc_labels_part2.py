import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lumbar.anatomy import LEVEL_LABELS, LEVELS, VERTEBRAE
from lumbar.tables import (
    LABEL_COORDINATES,
    META,
    SAGITTAL_LABELS,
    TRAIN_SERIES,
    TRUTH,
    VERTEBRA_OUTLINES,
    read_table,
    write_table,
)

SCRIPT = "make_sag_loc_labels_part2.py"
SIZE, SLICES = 300, 11
GOOD, MISNAMED, ABSENT, DAMAGED, UNMARKED, FAR, AXIAL = range(10, 17)


def level_y(level: int) -> float:
    return 20 + (level + 2) * 30 + 23


def outlines(names: tuple[str, ...] = VERTEBRAE) -> bytes:
    """A straight spine, bodies of 20 px, discs of 10 px, on slices 2 to 8."""
    found = []
    for index, name in enumerate(names):
        top = 20.0 + 30 * index
        corners = [[160.0, top], [160.0, top + 20], [140.0, top + 20], [140.0, top]]
        found.append({"predicted_label": name, "slice_nos": list(range(2, 9)), "polys": [corners] * 7})
    return pickle.dumps(found)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Seven series: what may become of each is its name."""
    kinds = {AXIAL: "Axial T2", UNMARKED: "Sagittal T1"}
    series = [(1, each, kinds.get(each, "Sagittal T2/STIR")) for each in range(GOOD, AXIAL + 1)]
    write_table(pd.DataFrame(series, columns=list(TRAIN_SERIES.columns)), tmp_path, TRAIN_SERIES)
    meta = [(each, number) for each in range(GOOD, AXIAL + 1) for number in range(1, SLICES + 1)]
    slices = pd.DataFrame(meta, columns=["series_id", "instance_number"]).assign(
        study_id=1, img_w=SIZE, img_h=SIZE, PixelSpacing=[(0.5, 0.5)] * len(meta),
        ImageOrientationPatient=[(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)] * len(meta),
        ImagePositionPatient=[(4.0 * (number - 6), -75.0, 75.0) for _, number in meta],
    )  # fmt: skip
    write_table(slices.reindex(columns=list(META.columns)), tmp_path, META)
    marks = [
        (1, each, 6, "Spinal Canal Stenosis", label, 168.4 + 60 * (each == FAR), level_y(level))
        for each in (GOOD, MISNAMED, ABSENT, DAMAGED, FAR)
        for level, label in enumerate(LEVEL_LABELS)
    ]
    write_table(pd.DataFrame(marks, columns=list(LABEL_COORDINATES.columns)), tmp_path, LABEL_COORDINATES)
    for each in (GOOD, UNMARKED, FAR):
        write_outlines(tmp_path, each, outlines())
    write_outlines(tmp_path, MISNAMED, outlines((*VERTEBRAE[1:], "S3")))
    write_outlines(tmp_path, DAMAGED, outlines()[:-30])
    truth = [(1, each, number, level, 160.0, level_y(i), SIZE, SIZE) for each in range(GOOD, AXIAL)
             for number in range(1, SLICES + 1) for i, level in enumerate(LEVELS)]  # fmt: skip
    write_table(pd.DataFrame(truth, columns=list(TRUTH.columns)), tmp_path, TRUTH)
    return tmp_path


def write_outlines(data: Path, series_id: int, content: bytes) -> None:
    path = data / VERTEBRA_OUTLINES.format(series_id=series_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_outlines_become_labels_and_every_loss_is_reported(data: Path, run_script: Callable) -> None:
    done = run_script(SCRIPT, "--data", data, "--source", "spinenet", "--workers", 1)
    assert done.returncode == 1  # one file is damaged
    labels = read_table(data, SAGITTAL_LABELS)
    assert list(labels.columns) == list(SAGITTAL_LABELS.columns)
    assert labels.groupby("series_id")["shift"].unique().map(list).to_dict() == {GOOD: [0], MISNAMED: [1]}
    assert sorted(labels["instance_number"].unique()) == list(range(3, 10))
    for _, rows in labels.groupby(["series_id", "instance_number"]):
        assert rows["level"].tolist() == list(LEVELS)
        assert rows["y"].tolist() == [level_y(level) for level in range(5)]
    assert f"{DAMAGED}_vert_dicts.p: not a pickle" in done.stderr
    assert "2 of 6 sagittal series kept (33.3%)" in done.stdout
    for reason in ("no outlines", "damaged outlines", "no human point", "0.06 of the image or more away"):
        assert f"1 dropped: {reason}" in done.stdout
    assert "moved down by a level: 0, up: 1, not moved: 1; slices per series: 7.0" in done.stdout
    assert "median distance 0.00 mm (0.00 px), 100.0% within 10 mm, 70 points" in done.stdout
    assert "1 of 1 series that SpineNet misnamed are back at the right level (100.0%); 0 series kept" in done.stdout


@pytest.mark.slow
def test_coordinates_alone_label_every_marked_series(data: Path, run_script: Callable) -> None:
    (data / TRUTH.path).unlink()
    done = run_script(SCRIPT, "--data", data, "--source", "coordinates", "--workers", 1)
    assert done.returncode == 0, done.stderr
    labels = read_table(data, SAGITTAL_LABELS)
    assert sorted(labels["series_id"].unique()) == [GOOD, MISNAMED, ABSENT, DAMAGED, FAR]
    assert (labels["shift"] == 0).all()
    assert (labels["source"] == "coordinates").all()  # so that check_data.py compares no point with itself
    assert (labels.loc[labels["series_id"] != FAR, "x"] == 160).all()
    assert "truth" not in done.stdout
    first = (data / SAGITTAL_LABELS.path).read_bytes()
    run_script(SCRIPT, "--data", data, "--source", "coordinates", "--workers", 2, env=dict(os.environ))
    assert (data / SAGITTAL_LABELS.path).read_bytes() == first


def test_misplaced_points_are_left_out_and_listed(data: Path, run_script: Callable) -> None:
    marks = read_table(data, LABEL_COORDINATES)
    of_good = marks.index[marks["series_id"] == GOOD]
    marks.loc[of_good[1], ["x", "y"]] = [5.0, 5.0]
    marks.loc[of_good[3], "y"] -= 60.0  # two levels too high
    write_table(marks, data, LABEL_COORDINATES)
    done = run_script(SCRIPT, "--data", data, "--source", "coordinates", "--workers", 1)
    assert done.returncode == 0
    labels = read_table(data, SAGITTAL_LABELS)
    assert set(labels.loc[labels["series_id"] == GOOD, "level"]) == {"l1_l2", "l3_l4", "l5_s1"}
    assert (labels.loc[labels["series_id"] != FAR, "x"] == 160).all()
    assert f"left out: 1/{GOOD}/6 Spinal Canal Stenosis L2/L3 at (5, 5): in a corner of its image\n" in done.stderr
    assert "L4/L5 at (168, 133): 2.0 level gaps from where the other levels of its series have it\n" in done.stderr
    assert done.stderr.count("left out:") == 2
    assert "2 of 25 human points left out, being misplaced" in done.stdout


def test_without_outlines_the_error_names_the_way_out(data: Path, run_script: Callable) -> None:
    for path in (data / VERTEBRA_OUTLINES).parent.iterdir():
        path.unlink()
    done = run_script(SCRIPT, "--data", data)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "make_sag_loc_labels_part1.py, or use --source coordinates" in done.stderr


def test_when_no_series_survives_nothing_is_written(data: Path, run_script: Callable) -> None:
    marks = read_table(data, LABEL_COORDINATES)
    write_table(marks.assign(instance_number=999), data, LABEL_COORDINATES)
    done = run_script(SCRIPT, "--data", data, "--source", "coordinates", "--workers", 1)
    assert done.returncode == 1
    assert "no sagittal series can be labelled from coordinates; 6 dropped: no human point" in done.stderr
    assert not (data / SAGITTAL_LABELS.path).exists()
