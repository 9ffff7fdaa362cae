"""Both post-processings and the metric: the published numbers."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from metrics.metric_dh_02 import calc_metric

GOLDEN = Path(__file__).parents[1] / "golden"


def load(name: str) -> tuple[dict[str, torch.Tensor], dict[str, np.ndarray], np.ndarray, pd.DataFrame]:
    with np.load(GOLDEN / "postprocess.npz") as file:
        data = {key.split("/")[2]: torch.from_numpy(file[key]) for key in file.files if key.startswith(f"{name}/in/")}
        out = {key.split("/")[2]: file[key] for key in file.files if key.startswith(f"{name}/out/")}
        return data, out, file[f"{name}/score"], pd.read_csv(GOLDEN / "folds.csv")


@pytest.mark.parametrize("name", ["pp_dh_02", "pp_dh_04"])
def test_published_numbers(name):
    data, expected, score, folds = load(name)
    cfg = SimpleNamespace(pp_bwd_fwd_fill=True)
    output = importlib.import_module(f"postprocess.{name}").post_process_pipeline(cfg, data, folds)
    assert set(output) == {*expected, "predicted"}
    assert (output["predicted"].numpy() == expected["logits"].any(-1)).all()  # published: zeros where nothing is
    for key, value in expected.items():
        np.testing.assert_allclose(output[key].numpy(), value, rtol=0, atol=1e-6, err_msg=key)

    metric = calc_metric(cfg, output, folds)
    parts = ("scs", "nfn", "ss", "any_severe", "missing_scs", "missing_nfn", "missing_ss", "studies")
    found = np.array([metric[part] for part in parts])
    if name == "pp_dh_02":  # nothing of this group is labelled; published as 0
        assert np.isnan(found[2]) and score[2] == 0
        found[2] = 0
    np.testing.assert_allclose(found, score, rtol=0, atol=1e-6)
    assert metric["score"] == pytest.approx(np.mean([s for i, s in enumerate(score[:4]) if s > 0]), abs=1e-6)


def test_the_order_of_rows_does_not_matter():
    data, _, _, folds = load("pp_dh_04")
    cfg = SimpleNamespace(pp_bwd_fwd_fill=True)
    pipeline = importlib.import_module("postprocess.pp_dh_04").post_process_pipeline
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data["level"])))
    shuffled = pipeline(cfg, {key: value[order] for key, value in data.items()}, folds.sample(frac=1, random_state=0))
    for key, value in pipeline(cfg, data, folds).items():
        torch.testing.assert_close(shuffled[key], value)


def test_without_the_fill_targets_are_those_of_the_rows():
    data, expected, _, folds = load("pp_dh_04")
    pipeline = importlib.import_module("postprocess.pp_dh_04").post_process_pipeline
    output = pipeline(SimpleNamespace(pp_bwd_fwd_fill=False), data, folds)
    unpredicted = ~output["logits"].any(-1)
    assert unpredicted.sum() == 7
    assert (output["target"][unpredicted] == -100).all()
    assert np.array_equal(output["target"][~unpredicted], expected["target"][~unpredicted.numpy()])


def test_dummy_returns_its_input():
    data = {"logits": torch.zeros(1)}
    assert importlib.import_module("postprocess.pp_dummy").post_process_pipeline(None, data, None) is data


def test_groups_that_a_network_does_not_grade_are_not_scored():
    data, _, _, folds = load("pp_dh_04")
    cfg = SimpleNamespace(pp_bwd_fwd_fill=True)
    axial = {key: value[data["condition"] == 2] for key, value in data.items()}
    output = importlib.import_module("postprocess.pp_dh_04").post_process_pipeline(cfg, axial, folds)
    assert (output["target"][:, :15] == -100).all()
    metric = calc_metric(cfg, output, folds)
    assert np.isnan([metric[part] for part in ("scs", "nfn", "any_severe")]).all()
    assert metric["score"] == metric["ss"]
    assert (metric["missing_scs"], metric["missing_nfn"]) == (1, 1)
