"""Checkpoints: written whole or not at all, read without running code, and able to go on where a run stopped."""

from __future__ import annotations

import io
import logging
import pickle
import random
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from lumbar.cli import UserError
from lumbar.files import write_bytes

OUR_WRAPPERS: Final = ("module.", "_orig_mod.")
"""Prefixes of names that `DistributedDataParallel` and `torch.compile` add."""

WRAPPERS: Final = (*OUR_WRAPPERS, "net.", "model.")
"""Those, and the usual ones of other projects."""

_log = logging.getLogger(__name__)


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
        If names or shapes do not match, a value is not finite, or nothing fits; says which.
    """
    remedy = "use the config that it was trained with, train it again, or leave entries out with --pop_weights"
    expected = model.state_dict()
    weights = _unwrapped(content.get("model", content), expected, path)
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(left_out)}
    for name, tensor in weights.items():
        if not (isinstance(tensor, torch.Tensor) and tensor.isfinite().all()):
            raise UserError(f"{path}: {name} holds values that are no finite numbers; train it again")
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
    if not expected.keys() & weights.keys():
        names = f"has {_some(besides)}, expected {_some(missing)}"
        raise UserError(f"{path}: not one entry fits the network: {names}; {remedy}")
    model.load_state_dict(weights, strict=False)
    return missing


def _unwrapped(weights: Mapping[str, Any], expected: Collection[str], path: Path) -> dict[str, Any]:
    """Name weights as the bare network does, whatever wrapped it when it was saved; a foreign wrapper is said."""
    result = dict(weights)
    while result and not any(name in expected for name in result):
        prefix = next((each for each in WRAPPERS if all(name.startswith(each) for name in result)), None)
        if prefix is None:
            break
        result = {name.removeprefix(prefix): tensor for name, tensor in result.items()}
        if prefix not in OUR_WRAPPERS:
            _log.warning("%s: all names begin with %r, which is left out", path, prefix)
    return result


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
