"""Packed weights answer as the tree does, and a changed byte is noticed."""

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lumbar.anatomy import GRADE_COLUMNS
from lumbar.cli import UserError
from lumbar.predict.checkpoints import CONFIGS, find_checkpoints
from lumbar.predict.packing import halved
from lumbar.roles import AXIAL

ROOT = Path(__file__).parents[3]
predict: Callable[[list[str]], int] = runpy.run_path(str(ROOT / "predict.py"))["main"]
pack: Callable[[list[str]], int] = runpy.run_path(str(ROOT / "scripts" / "pack_weights.py"))["main"]


@pytest.fixture(scope="module")
def packed(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "packed"
    assert pack(["--weights", str(weights), "--out", str(out), "--id", "me/lumbar"]) == 0
    return out


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "packed"))


def answers(images: Path, weights: Path, out: Path) -> np.ndarray:
    assert predict([str(images), "--weights", str(weights), "--out", str(out), "--workers", "1", "-G", "cpu"]) == 0
    return pd.read_csv(out)[list(GRADE_COLUMNS)].to_numpy()


def test_a_packed_folder_is_flat_and_says_what_it_holds(packed: Path) -> None:
    index = json.loads((packed / "index.json").read_text())
    assert [each["config"] for each in index["networks"]] == list(CONFIGS)
    assert {path.name for path in packed.iterdir()} == {
        "index.json", "dataset-metadata.json", *(f"{name}_fold0_seed1.pth" for name in CONFIGS),
    }  # fmt: skip
    axial = index["networks"][0]
    assert axial["values"]["img_size"] == 32 and len(axial["sha256"]) == 64
    metadata = json.loads((packed / "dataset-metadata.json").read_text())
    assert metadata["id"] == "me/lumbar" and 6 <= len(metadata["title"]) <= 50 and metadata["licenses"]
    assert str(Path.home()) not in (packed / "index.json").read_text()


@pytest.mark.slow
def test_packed_weights_answer_as_the_tree_does(
    tmp_path: Path, weights: Path, packed: Path, make_study: Callable[..., Path]
) -> None:
    images = make_study(tmp_path / "images", 12)
    tree = answers(images, weights, tmp_path / "tree.csv")
    np.testing.assert_array_equal(answers(images, packed, tmp_path / "packed.csv"), tree)
    halves = tmp_path / "halves"
    assert pack(["--weights", str(weights), "--out", str(halves), "--fp16"]) == 0
    sizes = [sum(path.stat().st_size for path in folder.glob("*.pth")) for folder in (packed, halves)]
    assert sizes[1] < 0.8 * sizes[0]
    difference = np.abs(answers(images, halves, tmp_path / "halves.csv") - tree)
    assert 0 < difference.max() < 0.01


def test_half_precision_is_for_matrices_that_fit() -> None:
    result = halved(
        {"kernel": torch.ones(2, 2), "large": torch.full((2, 2), 1e6), "bias": torch.ones(2), "count": torch.tensor(3)}
    )
    kinds = {name: tensor.dtype for name, tensor in result.items()}
    assert kinds == {
        "kernel": torch.float16, "large": torch.float32, "bias": torch.float32, "count": torch.int64,
    }  # fmt: skip


def test_optimiser_states_stay_behind(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = Path(shutil.copytree(weights, tmp_path / "weights"))
    path = tree / AXIAL / "fold0" / "checkpoint_last_seed1.pth"
    content = torch.load(path, weights_only=True)
    torch.save({**content, "optimizer": {"state": torch.ones(9)}, "epoch": 3}, path)
    assert pack(["--weights", str(tree), "--out", str(tmp_path / "packed")]) == 0
    assert list(torch.load(tmp_path / "packed" / f"{AXIAL}_fold0_seed1.pth", weights_only=True)) == ["model"]
    assert "its training stopped after epoch 3 of 16" in capsys.readouterr().err


def test_a_damaged_or_incomplete_folder_is_refused_in_one_line(copy: Path) -> None:
    path = copy / f"{AXIAL}_fold0_seed1.pth"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"seed1\.pth: is damaged \(its SHA-256 is not that of index\.json\)"):
        find_checkpoints(copy, [])
    path.unlink()
    with pytest.raises(UserError, match=r"seed1\.pth: is missing; pack or copy the folder again"):
        find_checkpoints(copy, [])


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 99, "networks": []}'])
def test_a_damaged_index_is_refused(copy: Path, text: str) -> None:
    (copy / "index.json").write_text(text)
    with pytest.raises(UserError, match=r"index\.json: "):
        find_checkpoints(copy, [])


def test_an_index_cannot_name_files_elsewhere(copy: Path) -> None:
    index = json.loads((copy / "index.json").read_text())
    index["networks"][0]["file"] = "/etc/passwd"
    (copy / "index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"packed/passwd: is missing"):
        find_checkpoints(copy, [])


def test_a_damaged_checkpoint_is_not_packed(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = Path(shutil.copytree(weights, tmp_path / "weights"))
    (tree / AXIAL / "fold0" / "checkpoint_last_seed1.pth").write_bytes(b"damaged")
    assert pack(["--weights", str(tree), "--out", str(tmp_path / "packed")]) == 1
    output = capsys.readouterr()
    assert "left out" in output.err and f"none of {AXIAL}; 1 checkpoint left out" in output.out


def test_only_the_folds_wanted(
    weights: Path, tmp_path: Path, write_weights: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = Path(shutil.copytree(weights, tmp_path / "weights"))
    write_weights(tree, folds=(1,), configs=[AXIAL])
    assert pack(["--weights", str(tree), "--out", str(tmp_path / "packed"), "--folds", "1"]) == 0
    assert [path.name for path in (tmp_path / "packed").glob("*.pth")] == [f"{AXIAL}_fold1_seed2.pth"]
    with pytest.raises(UserError, match="no checkpoint of fold 7"):
        pack(["--weights", str(tree), "--out", str(tmp_path / "none"), "--folds", "7"])


def test_what_lies_in_the_folder_is_not_lost(weights: Path, copy: Path) -> None:
    command = ["--weights", str(weights), "--out", str(copy)]
    with pytest.raises(UserError, match="is packed already; replace it with --force"):
        pack(command)
    assert pack([*command, "--force"]) == 0
    for name in ("thesis.txt", "mine.pth"):
        (copy / name).write_text("dear")
        with pytest.raises(UserError, match=rf"{name}: was not packed by this command; choose another --out"):
            pack([*command, "--force"])
        assert (copy / name).read_text() == "dear" and (copy / "index.json").exists()
        (copy / name).unlink()


def test_a_folder_of_other_networks_is_not_packed_into(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "networks"
    other.mkdir()
    (other / "mine.pth").write_text("dear")
    with pytest.raises(UserError, match=r"networks: holds mine\.pth, which this command did not make; choose another"):
        pack(["--weights", str(weights), "--out", str(other), "--force"])
    (other / "index.json").write_text('{"pages": []}')
    with pytest.raises(UserError, match=r"index\.json: not the index of packed weights"):
        pack(["--weights", str(weights), "--out", str(other), "--force"])
    assert sorted(path.name for path in other.iterdir()) == ["index.json", "mine.pth"]


@pytest.mark.parametrize(("out", "message"), [("", "is --weights too"), ("inner", "lies in --weights")])
def test_networks_are_not_packed_over_themselves(copy: Path, out: str, message: str) -> None:
    before = sorted(copy.iterdir())
    with pytest.raises(UserError, match=message):
        pack(["--weights", str(copy), "--out", str(copy / out), "--force"])
    assert sorted(copy.iterdir()) == before


def test_an_unfinished_packing_is_begun_again(weights: Path, copy: Path) -> None:
    (copy / "index.json").unlink()
    (copy / ".made_by_lumbar").touch()
    (copy / ".cfg_mlp_fold0_seed1.pth.1a2b.part").touch()
    assert pack(["--weights", str(weights), "--out", str(copy)]) == 0
    assert {path.suffix for path in copy.iterdir()} == {".json", ".pth"}
    assert find_checkpoints(copy, [])
