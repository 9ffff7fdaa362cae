import math

import numpy as np
import pandas as pd
import pytest

from lumbar.localise.point_errors import point_errors, slice_errors, slice_sizes

SIZES = pd.DataFrame({"img_w": [100, 200], "img_h": [50, 100], "PixelSpacing": [(2.0, 0.5), (1.0, 1.0)]})


def test_known_distances():
    target = np.full((2, 4), 0.5)
    predicted = target + np.array([[0.02, 0.08, 9, 9], [0, 0, 0.06, 0]])
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], dtype=bool)
    errors = point_errors(predicted, target, mask, SIZES)
    # Offsets in px: (2, 4), (0, 0), (12, 0); in mm, 2 between rows and 0.5 between columns: (1, 8), (0, 0), (12, 0).
    assert errors["points"] == 3
    assert errors["mean_px"] == pytest.approx((math.hypot(2, 4) + 12) / 3)
    assert errors["median_px"] == pytest.approx(math.hypot(2, 4))
    assert errors["mean_mm"] == pytest.approx((math.hypot(1, 8) + 12) / 3)
    assert errors["median_mm"] == pytest.approx(math.hypot(1, 8))
    assert errors["mean_normalised"] == pytest.approx((math.hypot(0.02, 0.08) + 0.06) / 3)
    assert errors["within_5px"] == errors["within_10px"] == pytest.approx(2 / 3)


def test_exact_points():
    target = np.full((2, 4), 0.25)
    errors = point_errors(target, target, np.ones((2, 4), dtype=bool), SIZES)
    assert errors["median_mm"] == errors["mean_px"] == 0 and errors["within_5px"] == 1


def test_nothing_annotated_is_nan():
    errors = point_errors(np.zeros((2, 4)), np.zeros((2, 4)), np.zeros((2, 4), dtype=bool), SIZES)
    assert errors.pop("points") == 0
    assert all(math.isnan(value) for value in errors.values())


def test_without_sizes_only_normalised():
    errors = point_errors(np.zeros((2, 4)), np.ones((2, 4)), np.ones((2, 4), dtype=bool), None)
    assert set(errors) == {"points", "mean_normalised", "median_normalised"}
    assert errors["mean_normalised"] == pytest.approx(math.sqrt(2))


def test_a_slice_of_unknown_size_counts_only_where_it_can():
    meta = SIZES.assign(series_id=[1, 1], instance_number=[4, 5]).drop(index=1)
    sizes = slice_sizes(meta, {"series_id": np.array([1, 1]), "instance_number": np.array([5, 4])})
    errors = point_errors(np.zeros((2, 2)), np.ones((2, 2)), np.ones((2, 2), dtype=bool), sizes)
    assert errors["points"] == 2
    assert errors["mean_px"] == pytest.approx(math.hypot(100, 50))
    assert errors["mean_mm"] == pytest.approx(math.hypot(50, 100))


def test_top_slices():
    series = np.array([8, 8, 8, 8, 3, 3, 3, 3])
    target = np.array([[0, 5], [0, 0], [2, 0], [2, 0], [0, 0], [1, 0], [0, 0], [0, 0]], dtype=float)
    predicted = np.zeros((8, 2))
    predicted[1, 0] = 1  # one beside the nearer of two best: fine
    predicted[2, 1] = 1  # two away: not
    predicted[5, 0] = 1  # exact
    errors = slice_errors(predicted, target, np.ones((8, 2), dtype=bool), series)
    assert errors["tops"] == 3  # nothing to find for the second kind of series 3
    assert errors["top_slice_within_1"] == pytest.approx(2 / 3)
    assert errors["mean_absolute_error"] == pytest.approx((5 + 1 + 2 + 2 + 1) / 16)


def test_only_annotated_slices_count():
    mask = np.array([[True, False]] * 3)
    errors = slice_errors(np.ones((3, 2)), np.array([[1, 7]] * 3, dtype=float), mask, np.array([1, 1, 1]))
    assert errors == {"mean_absolute_error": 0, "top_slice_within_1": 1, "tops": 1}
    nothing = slice_errors(np.ones((3, 2)), np.ones((3, 2)), np.zeros((3, 2), dtype=bool), np.array([1, 1, 1]))
    assert math.isnan(nothing["mean_absolute_error"]) and nothing["tops"] == 0
