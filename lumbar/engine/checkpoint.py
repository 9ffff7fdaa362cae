"""Checkpoints: written whole or not at all, read without running code, and able to go on where a run stopped."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lumbar.cli import UserError
from lumbar.files import write_bytes


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a file for `torch.load`, atomically.

    Raises
    ------
    OSError
        If it cannot be written; names the file.
    """
    written = io.BytesIO()  # PyTorch's own writer says of a full disk only that it failed
    torch.save(content, written)
    write_bytes(path, written.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values onto the CPU.

    Raises
    ------
    UserError
        If it is absent, damaged, or holds anything else.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a file of tensors and plain values, or damaged ({reason})") from error


def fit_weights(
    model: nn.Module, content: Mapping[str, Any], path: Path, strict: bool = True, left_out: tuple[str, ...] = ()
) -> list[str]:
    """Load weights into a network.

    Parameters
    ----------
    model : Module
        Network.
    content : mapping
        A checkpoint ``{"model": state_dict}``, or a bare state dict.
    path : Path
        Where it comes from, for messages.
    strict : bool
        Whether every name must match, but for those left out.
    left_out : tuple of str
        Prefixes of names to leave out.

    Returns
    -------
    list of str
        Names that keep their initial weights.

    Raises
    ------
    UserError
        If names or shapes do not match; says which.
    """
    remedy = "use the config that it was trained with, or leave entries out with --pop_weights"
    # Names as the bare network has them, whatever wrapped it when it was saved.
    weights = {
        name.removeprefix("module.").removeprefix("_orig_mod."): tensor
        for name, tensor in content.get("model", content).items()
    }
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(left_out)}
    expected = model.state_dict()
    for name in sorted(expected.keys() & weights.keys()):
        if expected[name].shape != weights[name].shape:
            shapes = f"{tuple(weights[name].shape)}, the network's has {tuple(expected[name].shape)}"
            raise UserError(f"{path}: {name} has shape {shapes}; {remedy}")
    missing = [name for name in expected if name not in weights]
    lacking = [name for name in missing if not name.startswith(left_out)]
    besides = sorted(weights.keys() - expected.keys())
    if strict and (lacking or besides):
        raise UserError(
            f"{path}: does not fit the network: lacks {_some(lacking)}, has besides {_some(besides)}; {remedy}, or "
            "take what fits with --strict False"
        )
    model.load_state_dict(weights, strict=False)
    return missing


def _some(names: list[str]) -> str:
    """List a few names and count the rest."""
    if not names:
        return "nothing"
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def random_states() -> dict[str, Any]:
    """Take the states of all global random generators of this process, as tensors and plain values."""
    version, words, gauss = random.getstate()
    algorithm, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": (version, torch.tensor(words, dtype=torch.int64), gauss),
        "numpy": (algorithm, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the global random generators back into the states that `random_states` took."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    algorithm, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((algorithm, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(states["cuda"])


def seed_everything(seed: int) -> None:
    """Seed the global generators, which networks and libraries use; items have generators of their own."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
