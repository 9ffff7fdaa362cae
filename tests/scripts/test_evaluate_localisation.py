import pandas as pd
import pytest

from lumbar.anatomy import LEVELS
from lumbar.tables import AXIAL_LEVELS, AXIAL_XY, SAGITTAL_SLICES, SAGITTAL_XY, TRUTH, read_table, write_table


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
    return pd.DataFrame(rows).fillna({"img_w": 104, "img_h": 104})


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
                              "structure": "level", "x": 1, "y": 1, "img_w": 104, "img_h": 104}])  # fmt: skip
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


def test_without_truth(mini, evaluate):
    done = evaluate(mini / "datamount")
    assert done.returncode == 1
    assert "truth.csv: no such file" in done.stderr
