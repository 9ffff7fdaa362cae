"""Small networks with known weights, and the batches of the reference files."""

import importlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def golden() -> Callable[[str], tuple[Any, dict[str, torch.Tensor], dict[str, np.ndarray]]]:
    """Give by model name: its config, its batch, its expected output."""

    def load(name: str) -> tuple[Any, dict[str, torch.Tensor], dict[str, np.ndarray]]:
        with np.load(GOLDEN / f"{name}.npz") as file:
            new = {"mask_objective": "l1", "count_objective": "l1", "channels_last": False, "output_stride": 32}
            cfg = SimpleNamespace(**json.loads(str(file["cfg"])), **new)
            batch = {key[6:]: torch.from_numpy(file[key]) for key in file.files if key.startswith("batch/")}
            return cfg, batch, {key[4:]: file[key] for key in file.files if key.startswith("out/")}

    return load


@pytest.fixture
def network() -> Callable[[str, Any], torch.nn.Module]:
    """Build a model by name and config, in eval mode, every weight a known function of its own name."""

    def build(name: str, cfg: Any) -> torch.nn.Module:
        net = importlib.import_module(f"models.{name}").Net(cfg).eval()
        state = net.state_dict()
        for key, value in state.items():
            if key not in ("loss_fn.weight", "pos_emb.weight"):
                state[key] = torch.from_numpy(_weight(key, tuple(value.shape))).to(value.dtype)
        net.load_state_dict(state)
        return net

    return build


def _weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    a = np.asarray(np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)).astype("float32")
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if key.endswith("running_var"):
        return np.abs(a) + 0.5
    if key.endswith("running_mean"):
        return 0.1 * a
    if a.ndim == 4:
        return a * np.sqrt(2 / np.prod(shape[1:]))
    if a.ndim == 2:
        return a / np.sqrt(shape[1])
    return 0.1 * a + ("bn" in key and key.endswith("weight"))
