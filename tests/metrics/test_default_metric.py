import math
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from lumbar.tables import META, write_table
from metrics.default_metric import calc_metric


def output(predicted, target):
    rows = torch.arange(len(target))
    return {
        "logits": torch.tensor(predicted),
        "target": torch.tensor(target),
        "target_mask": torch.ones(torch.tensor(target).shape, dtype=torch.long),
        "series_id": rows * 0 + 5,
        "instance_number": rows + 1,
    }


def config(tmp_path, localises="points"):
    return SimpleNamespace(data_dir=str(tmp_path), meta_table=META.path, localises=localises)


def test_points_with_metadata_are_scored_in_mm(tmp_path):
    meta = pd.DataFrame({"study_id": [1], "series_id": [5], "instance_number": [1], "img_w": [100], "img_h": [100]})
    meta = meta.assign(PixelSpacing=[(0.5, 0.5)]).reindex(columns=META.columns)
    write_table(meta, tmp_path, META)
    metric = calc_metric(config(tmp_path), output([[0.5, 0.5, 0.6, 0.5]], [[0.52, 0.54, 0.6, 0.5]]), pd.DataFrame())
    assert metric["median_px"] == metric["mean_px"] == pytest.approx(20**0.5 / 2)
    assert metric["score"] == metric["median_mm"] == pytest.approx(20**0.5 / 4)
    assert metric["within_5px"] == 1


def test_points_without_metadata_are_scored_as_they_are(tmp_path):
    metric = calc_metric(config(tmp_path), output([[0.5, 0.5]], [[0.53, 0.54]]), pd.DataFrame())
    assert metric == pytest.approx({"score": 0.05, "points": 1, "mean_normalised": 0.05, "median_normalised": 0.05})


def test_slices_are_scored_by_their_absolute_error(tmp_path):
    found = output([[1.0, 0, 0], [0, 0, 0]], [[2.0, 0, 0], [0, 0, 0]])
    metric = calc_metric(config(tmp_path, "slices"), found, pd.DataFrame())
    assert metric["score"] == metric["mean_absolute_error"] == pytest.approx(1 / 6)
    assert metric["top_slice_within_1"] == 1


def test_without_targets_there_is_nothing_to_measure(tmp_path):
    assert math.isnan(calc_metric(config(tmp_path), {"logits": torch.zeros(1, 4)}, pd.DataFrame())["score"])
