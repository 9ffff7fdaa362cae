import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.cfg_mlp import cfg as mlp
from lumbar.anatomy import TARGETS
from lumbar.cli import UserError
from lumbar.grades.class_shares import class_shares
from lumbar.grades.combiner import Combiner, compare, load_combiner, mean_of_models, views
from lumbar.grades.scoring import score_parts, softmax
from models.mdl_mlp import Net

CFG = replace(mlp, oof_configs=("cfg_dh_12y8", "cfg_dh_29a2"), hidden_dim=4)


def predictions(seed: int, models: int = 2, studies: int = 6) -> torch.Tensor:
    return torch.from_numpy(softmax(np.random.default_rng(seed).normal(size=(studies, models, 25, 3)))).float()


def trained(seed: int, cfg: Any = CFG) -> Net:
    """Make a network whose corrections are not 0."""
    torch.manual_seed(seed)
    net = Net(cfg)
    net.fit({"probabilities": predictions(9, studies=30), "target": torch.randint(0, 3, (30, 25))})
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net.eval()


def save(folder: Path, net: Net, cfg: Any, fold: int, seed: int) -> None:
    fold_folder = folder / f"fold{fold}"
    fold_folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": net.state_dict()}, fold_folder / f"checkpoint_last_seed{seed}.pth")
    (fold_folder / f"config_seed{seed}.json").write_text(json.dumps({"config": asdict(cfg)}))


def test_mean_of_those_that_predicted():
    probabilities = predictions(0, models=3)
    probabilities[0, 1, 4] = torch.nan
    probabilities[2, :, 7] = torch.nan
    mean = mean_of_models(probabilities)
    torch.testing.assert_close(mean[0, 4], probabilities[0, [0, 2], 4].mean(0))
    torch.testing.assert_close(mean[1], probabilities[1].mean(0))
    np.testing.assert_allclose(mean[2, 7], class_shares()[7], rtol=1e-6)


def test_views():
    assert views("own").tolist() == [[target] for target in range(25)]
    names = [[TARGETS[seen].removesuffix("_l2_l3") for seen in row] for row in views("conditions")[1::5]]
    canal, nfn, ss = "spinal_canal_stenosis", "neural_foraminal_narrowing", "subarticular_stenosis"
    assert names == [
        [canal, f"left_{nfn}", f"right_{nfn}", f"left_{ss}", f"right_{ss}"],
        [f"left_{nfn}", f"right_{nfn}", canal, f"left_{ss}", f"right_{ss}"],
        [f"right_{nfn}", f"left_{nfn}", canal, f"right_{ss}", f"left_{ss}"],
        [f"left_{ss}", f"right_{ss}", canal, f"left_{nfn}", f"right_{nfn}"],
        [f"right_{ss}", f"left_{ss}", canal, f"right_{nfn}", f"left_{nfn}"],
    ]
    levels = views("levels")
    assert np.array_equal(levels[:, :5], views("conditions"))
    assert levels[:6, 5:].tolist() == [[-1, 1], [0, 2], [1, 3], [2, 4], [3, -1], [-1, 6]]


def test_compare_scores_models_mean_and_ensemble():
    probabilities = predictions(1, studies=30)
    probabilities[:, 1, 15:] = torch.nan  # the second reads no subarticular stenosis
    probabilities[20:, 0] = torch.nan
    probabilities[0, 0, 3] = torch.nan
    target = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (30, 25)))
    logits = torch.randn(30, 25, 3, generator=torch.Generator().manual_seed(0))
    scores = compare({"probabilities": probabilities, "logits": logits, "target": target}, ["a", "b"])
    assert list(scores) == ["a", "b", "mean of models", "MLP"]
    assert [of_model["studies"] for of_model in scores.values()] == [20, 30, 30, 30]
    names = ["score", "scs", "nfn", "ss", "any_severe"]
    filled = probabilities[:20, 0].double().numpy()
    filled[0, 3] = class_shares()[3]
    mean = mean_of_models(probabilities.double())
    for prefix, predicted in (("", filled), ("mean_", mean[:20].numpy())):  # both on the studies that it has
        parts = score_parts(predicted, target[:20])
        expected = {"score": np.mean(list(parts.values())), **parts}
        assert {name: scores["a"][prefix + name] for name in names} == pytest.approx(expected)
    for prefix in ("", "mean_"):
        assert [math.isnan(scores["b"][prefix + name]) for name in names] == [True, False, False, True, False]
    assert scores["MLP"]["scs"] == pytest.approx(score_parts(softmax(logits), target)["scs"])
    assert scores["MLP"]["mean_ss"] == scores["mean of models"]["ss"]
    assert not any(math.isnan(value) for value in scores["mean of models"].values())


def test_combine_averages_networks_and_takes_what_there_is():
    first, second = trained(0), trained(1)
    both = predictions(2).numpy()
    combiner = Combiner([first, second], ["a", "b"])
    combined = combiner.combine({"b": both[:, 1], "a": both[:, 0]})
    assert combined.shape == (6, 25, 3)
    np.testing.assert_allclose(combined.sum(-1), 1, atol=1e-6)
    singles = [Combiner([net], ["a", "b"]).combine({"a": both[:, 0], "b": both[:, 1]}) for net in (first, second)]
    np.testing.assert_allclose(combined, np.mean(singles, 0), atol=1e-7)
    without = combiner.combine({"a": both[:, 0]})
    np.testing.assert_allclose(without, combiner.combine({"a": both[:, 0], "b": np.full((6, 25, 3), np.nan)}))
    assert np.isfinite(combiner.combine({"a": np.full((1, 25, 3), np.nan)})).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"c": np.ones((2, 25, 3))}, "the unknown 'c'"),
        ({"a": np.ones((2, 24, 3))}, r"expected probabilities \(N, 25, 3\) of a, b"),
        ({"a": np.ones((2, 25, 3)), "b": np.ones((3, 25, 3))}, "got shapes"),
        ({}, "got shapes"),
    ],
)
def test_combine_refuses_what_it_does_not_know(given, message):
    with pytest.raises(ValueError, match=message):
        Combiner([trained(0)], ["a", "b"]).combine(given)


def test_load_takes_every_fold_and_seed(tmp_path):
    nets = {(0, 1): trained(0), (0, 2): trained(1), (-1, 1): trained(2)}
    for (fold, seed), net in nets.items():
        save(tmp_path, net, CFG, fold, seed)
    loaded = load_combiner(tmp_path)
    assert loaded.names == CFG.oof_configs
    assert len(loaded.networks) == 3
    given = dict(zip(CFG.oof_configs, predictions(3).numpy().swapaxes(0, 1), strict=True))
    expected = Combiner(list(nets.values()), CFG.oof_configs).combine(given)
    np.testing.assert_allclose(loaded.combine(given), expected, atol=1e-7)


def test_weights_of_an_older_mlp_are_to_be_trained_again(tmp_path):
    save(tmp_path, trained(0), CFG, 0, 1)
    path = tmp_path / "fold0" / "checkpoint_last_seed1.pth"
    torch.save({"model": {"combinations.scs.log_weight": torch.zeros(8, 2)}}, path)
    record = {"config": asdict(CFG) | {"mlp_prior": 300.0, "mlp_members": 8, "mlp_levels": False}}
    (tmp_path / "fold0" / "config_seed1.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"checkpoint_last_seed1\.pth: does not fit the network.*train it again"):
        load_combiner(tmp_path)


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="no trained ensemble"):
        load_combiner(tmp_path)
    save(tmp_path, trained(0), CFG, 0, 1)
    other = replace(CFG, oof_configs=("cfg_dh_12y8", "cfg_dh_29g"))
    save(tmp_path, trained(0, other), other, 1, 1)
    with pytest.raises(UserError, match="combines cfg_dh_12y8, cfg_dh_29g, but"):
        load_combiner(tmp_path)
    snapshot = tmp_path / "fold1" / "config_seed1.json"
    snapshot.write_text("{")
    with pytest.raises(UserError, match=r"config_seed1\.json: not the record of a run"):
        load_combiner(tmp_path)
    snapshot.unlink()
    with pytest.raises(UserError, match=r"config_seed1\.json: no such file"):
        load_combiner(tmp_path)
