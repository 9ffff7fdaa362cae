import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVEL_LABELS, LEVELS
from lumbar.labels.sagittal_labels import CANAL_BEHIND, FORAMEN_ABOVE
from lumbar.tables import (
    AXIAL_LEVELS,
    AXIAL_XY,
    LABEL_COORDINATES,
    META,
    SAGITTAL_SLICES,
    SAGITTAL_XY,
    TRAIN_SERIES,
    TRUTH,
    read_table,
    write_table,
)


@pytest.fixture
def evaluate(run_here):
    return lambda data: run_here("scripts/evaluate_localisation.py", "--data", data)


def truth_of(data):
    """A truth that the tables meet exactly, from the tables themselves."""
    rows = []
    points = read_table(data, SAGITTAL_XY)
    points = points[points["logits_mask"] > 0.5]
    for _, point in points.iterrows():
        rows.append({**point[["study_id", "series_id", "instance_number", "level", "x", "y", "img_h", "img_w"]],
                     "structure": "level"})  # fmt: skip
    for _, row in read_table(data, AXIAL_LEVELS).iterrows():
        if row["distance"][0] < 3:
            rows.append({"study_id": 0, "series_id": row["series_id"], "level": row["level"], "structure": "level",
                         "instance_number": row["mapped_ax_instance_number"][0], "x": 1, "y": 1})  # fmt: skip
    for _, row in read_table(data, AXIAL_XY).head(20).iterrows():
        for side in ("left", "right"):
            rows.append({"study_id": 0, "series_id": int(row["series_id"]), "level": LEVELS[0], "img_w": 104,
                         "instance_number": int(row["instance_number"]), "structure": f"{side}_recess", "img_h": 104,
                         "x": 104 * row[f"x_{side}"] + 3, "y": 104 * row[f"y_{side}"] + 4})  # fmt: skip
    scores = read_table(data, SAGITTAL_SLICES)
    best = scores.loc[scores.groupby("series_id")["left_nfn"].idxmax()]
    for _, row in best.iterrows():
        rows.append({"study_id": 0, "series_id": int(row["series_id"]), "level": LEVELS[0], "x": 1, "y": 1,
                     "instance_number": int(row["instance_number"]), "structure": "left_foramen"})  # fmt: skip
    return pd.DataFrame(rows).fillna({"img_h": 104, "img_w": 104})


@pytest.fixture
def data(mini):
    data = mini / "datamount"
    write_table(truth_of(data), data, TRUTH)
    return data


def test_known_errors(data, evaluate):
    done = evaluate(data)
    assert done.returncode == 0, done.stderr
    assert "sagittal xy: median distance 0.00 mm (0.00 px), 100.0% within 10 mm" in done.stdout
    assert "axial xy: median distance 8.65 mm (5.00 px), 40 points" in done.stdout
    assert "sagittal z: left_nfn: top slice within one of the true one in 100.0% of 8 series" in done.stdout
    assert "axial slice of each level: within one slice of the true one for 100.0%" in done.stdout


def test_levels_that_are_not_mapped_count_as_wrong(data, evaluate):
    truth = read_table(data, TRUTH)
    unmapped = pd.DataFrame([{"study_id": 0, "series_id": 910000022, "instance_number": 2, "level": "l1_l2",
                              "structure": "level", "x": 1, "y": 1, "img_h": 104, "img_w": 104}])  # fmt: skip
    write_table(pd.concat([truth, unmapped]), data, TRUTH)
    out = evaluate(data).stdout
    assert "l1_l2 0.0%" in out
    assert "(100.0% of the" in out


def test_a_shifted_slice_is_wrong(data, evaluate):
    truth = read_table(data, TRUTH)
    moved = (truth["series_id"] == 910000022) & (truth["structure"] == "level") & (truth["level"] == "l4_l5")
    before = evaluate(data).stdout
    truth.loc[moved, "instance_number"] += 2  # 7 -> 9: slice 8 does not exist, so the next one
    write_table(truth, data, TRUTH)
    assert evaluate(data).stdout == before
    truth.loc[moved, "instance_number"] += 1
    write_table(truth, data, TRUTH)
    assert "within one slice of the true one for 100.0%" not in evaluate(data).stdout


def test_what_cannot_be_measured_is_said(data, evaluate):
    truth = read_table(data, TRUTH)
    write_table(truth[truth["structure"] == "level"].drop(columns="structure"), data, TRUTH)
    (data / SAGITTAL_SLICES.path).unlink()
    done = evaluate(data)
    assert done.returncode == 0
    assert "sagittal xy: median" in done.stdout
    assert "axial xy: not measured: truth.csv has no such points" in done.stdout
    assert "sagittal z: not measured:" in done.stdout
    assert "make it with aggregate_z_localisation.py" in done.stdout


def marks_of(data):
    """Human points 3 px right of and 4 px below where the tables have them, on the slices that the tables name."""
    series = read_table(data, TRAIN_SERIES).set_index("series_id")["series_description"]
    meta = read_table(data, META)[["series_id", "instance_number", "img_w", "img_h"]]
    points = read_table(data, SAGITTAL_XY).drop(columns=["img_w", "img_h"]).merge(meta)
    points = points[points["logits_mask"] > 0.5].drop_duplicates(["series_id", "level"])
    canal = points["series_id"].map(series) == "Sagittal T2/STIR"
    sagittal = points.assign(
        condition=np.where(canal, "Spinal Canal Stenosis", "Left Neural Foraminal Narrowing"),
        level=points["level"].map(dict(zip(LEVELS, LEVEL_LABELS, strict=True))),
        x=points["x"] + canal * CANAL_BEHIND * points["img_w"] + 3,
        y=points["y"] - ~canal * FORAMEN_ABOVE * points["img_h"] + 4,
    )
    axial = read_table(data, AXIAL_XY).head(20).merge(meta)
    recesses = [
        axial.assign(condition=f"{side.title()} Subarticular Stenosis", level="L1/L2",
                     x=axial[f"x_{side}"] * axial["img_w"] + 3, y=axial[f"y_{side}"] * axial["img_h"] + 4)
        for side in ("left", "right")
    ]  # fmt: skip
    return pd.concat([sagittal, *recesses]).assign(study_id=0)[list(LABEL_COORDINATES.columns)]


def test_without_truth_the_human_points_are_the_reference(mini, evaluate):
    data = mini / "datamount"
    write_table(marks_of(data), data, LABEL_COORDINATES)
    done = evaluate(data)
    assert done.returncode == 0, done.stderr
    assert "there is no truth.csv: measured against the human marks" in done.stdout
    assert "(5.00 px)" in next(line for line in done.stdout.splitlines() if line.startswith("sagittal xy"))
    assert "axial xy: median distance 8.65 mm (5.00 px), 40 points" in done.stdout
    assert "sagittal z: left_nfn: top slice within one" in done.stdout
    assert "axial slice of each level: by level:" in done.stdout


def test_misplaced_human_points_are_no_reference(mini, evaluate):
    data = mini / "datamount"
    marks = marks_of(data).reset_index(drop=True)
    write_table(marks, data, LABEL_COORDINATES)
    before = evaluate(data).stdout
    left = marks.index[marks["condition"].str.startswith("Left Sub")]
    marks.loc[left[:11], ["x", "y"]] = [1.0, 1.0]
    write_table(marks, data, LABEL_COORDINATES)
    after = evaluate(data).stdout
    assert "median distance 8.65 mm (5.00 px), 40 points" in before
    assert "median distance 8.65 mm (5.00 px), 29 points" in after


def test_without_truth_and_points_nothing_is_measured(mini, evaluate):
    data = mini / "datamount"
    write_table(marks_of(data)[:0], data, LABEL_COORDINATES)
    done = evaluate(data)
    assert done.returncode == 1
    assert done.stdout.count("not measured: the human marks have no such points") == 4
