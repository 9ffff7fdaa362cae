import pandas as pd

from lumbar.labels.sagittal_evaluation import shift_recovery, true_level_points, true_shift


def truth() -> pd.DataFrame:
    rows = [(10, 1, "l1_l2", 50.0, 40.0, "level"), (10, 1, "l1_l2", 70.0, 40.0, "canal"),
            (10, 1, "l2_l3", 50.0, 60.0, "level"), (10, 2, "l2_l3", 50.0, 60.0, "level")]  # fmt: skip
    columns = ["series_id", "instance_number", "level", "x", "y", "structure"]
    return pd.DataFrame(rows, columns=columns).assign(img_w=100, img_h=100)


def test_only_level_points_count_where_the_file_tells_structures_apart() -> None:
    assert len(true_level_points(truth())) == 3
    assert len(true_level_points(truth().drop(columns="structure"))) == 4
    assert true_level_points(truth())["level"].tolist() == [0, 1, 1]


def test_the_true_shift_is_that_which_fits_the_truth() -> None:
    points = pd.DataFrame({"instance_number": [1, 2], "level": [2, 2], "x": [50, 50], "y": [61, 61]})
    assert true_shift(points, true_level_points(truth())) == 1
    assert true_shift(points.assign(instance_number=9), true_level_points(truth())) is None


def test_recovery_counts_dropped_series_as_not_back() -> None:
    used = {1: 0, 2: 1, 3: None, 4: 1, 5: 0}
    true = {1: 0, 2: 1, 3: -1, 4: 0, 5: None}
    assert shift_recovery(used, true) == (2, 1, 1)
