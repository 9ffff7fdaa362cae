import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lumbar.cli import UserError
from lumbar.engine import checkpoint


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def test_random_states_come_back_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "states.pth"
    checkpoint.seed_everything(7)
    random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
    checkpoint.save(path, checkpoint.random_states())
    drawn = [random.random(), np.random.rand(), torch.rand(1).item()]  # noqa: NPY002
    checkpoint.restore_random_states(checkpoint.load(path))
    assert [random.random(), np.random.rand(), torch.rand(1).item()] == drawn  # noqa: NPY002


def test_a_file_that_could_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"model": os.system}, path)
    with pytest.raises(UserError, match=r"evil.pth: not a file of tensors and plain values"):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"a": 1}, 2)])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad.pth: not a file of tensors"):
        checkpoint.load(path)
    with pytest.raises(UserError, match=r"none.pth: no such file"):
        checkpoint.load(tmp_path / "none.pth")


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_weights_load_whatever_wrapped_the_network(prefix: str) -> None:
    source, target = network(), network()
    state = {f"{prefix}{name}": tensor for name, tensor in source.state_dict().items()}
    assert checkpoint.fit_weights(target, {"model": state}, Path("x.pth")) == []
    assert torch.equal(source[0].weight, target[0].weight)  # type: ignore[index]


def test_weights_that_do_not_fit_are_named() -> None:
    path, net = Path("x.pth"), network()
    state = dict(net.state_dict())
    del state["1.bias"]
    with pytest.raises(UserError, match=r"x.pth: does not fit the network: lacks 1.bias, has besides nothing"):
        checkpoint.fit_weights(net, state, path)
    assert checkpoint.fit_weights(net, state, path, strict=False) == ["1.bias"]
    state |= {"1.bias": torch.zeros(1), "head.weight": torch.zeros(1)}
    with pytest.raises(UserError, match=r"lacks nothing, has besides head.weight"):
        checkpoint.fit_weights(net, state, path)
    state["1.weight"] = torch.zeros(9, 9)
    with pytest.raises(UserError, match=r"1.weight has shape \(9, 9\), the network's has \(1, 3\)"):
        checkpoint.fit_weights(net, state, path, strict=False)
    assert checkpoint.fit_weights(net, state, path, left_out=("1.", "head")) == ["1.weight", "1.bias"]


@pytest.mark.parametrize("prefix", ["net.", "model.", "model.module."])
def test_a_foreign_wrapper_is_recognised_and_said(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    source, target = network(), network()
    state = {f"{prefix}{name}": tensor for name, tensor in source.state_dict().items()}
    assert checkpoint.fit_weights(target, state, Path("x.pth")) == []
    assert torch.equal(source[1].weight, target[1].weight)  # type: ignore[index]
    assert f"x.pth: all names begin with '{prefix.split('.')[0]}.', which is left out" in caplog.text


def test_weights_of_which_nothing_fits_are_an_error_even_when_not_strict() -> None:
    with pytest.raises(
        UserError, match=r"x\.pth: not one entry fits the network: has head\.weight, expected 0\.weight"
    ):
        checkpoint.fit_weights(network(), {"head.weight": torch.zeros(1)}, Path("x.pth"), strict=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value: float) -> None:
    state = network().state_dict()
    state["1.weight"][0, 1] = value
    with pytest.raises(UserError, match=r"x\.pth: 1\.weight holds values that are no finite numbers"):
        checkpoint.fit_weights(network(), state, Path("x.pth"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_the_system_s_error_with_the_file_s_name(tmp_path, monkeypatch):
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: write(Path("/dev/full"), content))
    with pytest.raises(OSError, match="No space left on device") as error:
        checkpoint.save(tmp_path / "a.pth", {"model": {"weight": torch.zeros(10**5)}})
    assert error.value.filename == str(tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []
