"""Networks found in a tree or a packed folder; those that cannot be used are named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lumbar.cli import UserError
from lumbar.config import load_config
from lumbar.engine.runs import restore_config
from lumbar.predict.checkpoints import (
    CONFIGS,
    Trained,
    find_checkpoints,
    inference_values,
)
from lumbar.predict.networks import load_network, load_networks
from lumbar.roles import AXIAL, CLASSIFIERS, SAGITTAL


@pytest.fixture
def tree(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights, tmp_path / "weights"))


def snapshot(tree: Path, name: str) -> Path:
    return tree / name / "fold0" / "config_seed1.json"


def change(path: Path, **values: object) -> None:
    content = json.loads(path.read_text())
    content["config"] |= values
    path.write_text(json.dumps(content))


def test_a_tree_gives_every_config_with_the_values_that_it_was_trained_with(weights: Path) -> None:
    problems: list[str] = []
    found = find_checkpoints(weights, problems)
    assert tuple(found) == CONFIGS and not problems
    (axial,) = found[AXIAL]
    assert (axial.fold, axial.seed, axial.cfg.name) == (0, 1, AXIAL)
    assert axial.cfg.img_size == 32 and axial.cfg.pretrained is False
    assert isinstance(found[CLASSIFIERS[1]][0].cfg.parts, tuple)


def test_folds_and_seeds_are_all_found(tree: Path, write_weights: Callable[..., None]) -> None:
    write_weights(tree, folds=(-1, 2), configs=[AXIAL])
    found = find_checkpoints(tree, [])
    assert [(each.fold, each.seed) for each in found[AXIAL]] == [(-1, 0), (0, 1), (2, 3)]


def test_a_network_in_another_configs_folder_is_left_out(tree: Path) -> None:
    shutil.rmtree(tree / CLASSIFIERS[2])
    shutil.copytree(tree / CLASSIFIERS[1], tree / CLASSIFIERS[2])
    problems: list[str] = []
    assert CLASSIFIERS[2] not in find_checkpoints(tree, problems)
    assert len(problems) == 1
    assert f"is of config {CLASSIFIERS[1]}, but lies in the folder of {CLASSIFIERS[2]}; left out" in problems[0]


def test_a_network_trained_with_other_values_is_left_out(tree: Path, write_weights: Callable[..., None]) -> None:
    write_weights(tree, folds=(1, 2), configs=[AXIAL])
    change(tree / AXIAL / "fold1" / "config_seed2.json", img_size=64)
    problems: list[str] = []
    assert [each.fold for each in find_checkpoints(tree, problems)[AXIAL]] == [0, 2]
    assert len(problems) == 1 and "img_size 64 instead of 32" in problems[0]


def test_a_published_checkpoint_has_no_record_and_saw_published_pictures(tree: Path) -> None:
    snapshot(tree, SAGITTAL).unlink()
    cfg = find_checkpoints(tree, [])[SAGITTAL][0].cfg
    assert cfg.mask_objective == "l1"
    assert cfg.cache == "train_images_v01published"
    assert cfg.img_size == load_config(SAGITTAL).img_size


def test_a_damaged_record_is_named(tree: Path) -> None:
    snapshot(tree, AXIAL).write_text("{")
    problems: list[str] = []
    assert AXIAL not in find_checkpoints(tree, problems)
    assert "config_seed1.json: not the record of a run" in problems[0]


def test_keys_that_configs_no_longer_have_are_passed_over() -> None:
    cfg = restore_config(load_config(AXIAL), {"img_size": 64, "of_long_ago": 1})
    assert cfg.img_size == 64


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        find_checkpoints(tmp_path / "absent", [])
    with pytest.raises(UserError, match=r"no <config>/fold<k>/checkpoint_last_seed<s>\.pth of cfg_dh_05b5_loc"):
        find_checkpoints(tmp_path, [])


def test_a_damaged_network_is_left_out_or_with_strict_an_error(tree: Path, write_weights: Callable[..., None]) -> None:
    write_weights(tree, folds=(1,), configs=[AXIAL])
    path = tree / AXIAL / "fold0" / "checkpoint_last_seed1.pth"
    path.write_bytes(path.read_bytes()[:1000])
    members = find_checkpoints(tree, [])[AXIAL]
    problems: list[str] = []
    assert len(load_networks(members, problems, [], strict=False)) == 1
    assert len(problems) == 1 and problems[0].startswith(f"{path}: not a file of tensors") and "\n" not in problems[0]
    with pytest.raises(UserError, match="not a file of tensors"):
        load_networks(members, [], [], strict=True)


def test_weights_that_do_not_fit_are_named(weights: Path) -> None:
    wide = restore_config(load_config(AXIAL), {"backbone": "test_efficientnet.r160_in1k", "n_classes": 10})
    path = weights / AXIAL / "fold0" / "checkpoint_last_seed1.pth"
    with pytest.raises(UserError, match=r"head\.bias has shape .* another config than cfg_dh_05b5_loc"):
        load_network(Trained(path, 0, 1, wide), [])


def test_what_is_packed_names_no_folder_and_leaves_out_how_it_was_trained() -> None:
    values = inference_values(load_config("cfg_mlp", {"oof": "/home/me/secret/a.csv", "data_dir": "/home/me"}))
    assert values["oof"] == ["a.csv"] and "/home" not in json.dumps(values)
    assert "lr" not in values and values["hidden_dim"]
