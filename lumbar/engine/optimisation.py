"""The optimiser, the learning rate at each step, and arithmetic of lower precision on GPUs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import nn

from lumbar.cli import UserError
from lumbar.config import Config

PRECISIONS: Final = {"fp16": torch.float16, "bf16": torch.bfloat16}


def make_optimizer(cfg: Config, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Make AdamW over all parameters (`lr`, `weight_decay`)."""
    return torch.optim.AdamW(
        model.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay, fused=device.type == "cuda" or None
    )


def learning_rate(cfg: Config, step: int, total: int) -> float:
    """Learning rate of a step: rising linearly from 0 over the share `cfg.warmup` of all steps, then a cosine to 0.

    Parameters
    ----------
    cfg : config
        Reads `lr` and `warmup`.
    step, total : int
        Optimiser step, from 0, and their number in the whole run.
    """
    rising = int(cfg.warmup * total)
    if step < rising:
        return cfg.lr * step / rising
    return cfg.lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def make_autocast(cfg: Config, device: torch.device) -> torch.autocast:
    """Make the context in which the network runs: `cfg.mixed_precision` on a GPU, plain float32 on the CPU."""
    enabled = device.type == "cuda" and cfg.mixed_precision != "off"
    return torch.autocast(device.type, PRECISIONS.get(cfg.mixed_precision, torch.bfloat16), enabled=enabled)


def make_scaler(cfg: Config, device: torch.device) -> torch.GradScaler:
    """Make the loss scaler that float16 needs; otherwise one that does nothing."""
    return torch.GradScaler(device.type, enabled=device.type == "cuda" and cfg.mixed_precision == "fp16")


@contextmanager
def out_of_memory(key: str, size: int) -> Iterator[None]:
    """Name the key to change when the GPU's memory does not suffice.

    Raises
    ------
    UserError
        Instead of PyTorch's error.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"out of GPU memory with {key} {size}: lower --{key} (when training, raise --grad_accumulation in return), "
            "or --img_size"
        ) from error


class BufferGuard:
    """Keeps the last good buffers of a network, since a non-finite forward pass spoils running statistics for good.

    Parameters
    ----------
    model : Module
        Its floating-point buffers are kept, on its device.
    """

    def __init__(self, model: nn.Module) -> None:
        self._buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self._good = [buffer.clone() for buffer in self._buffers]

    def keep(self) -> None:
        """Take the present buffers as good."""
        if self._buffers:
            torch._foreach_copy_(self._good, self._buffers)

    def restore(self) -> None:
        """Put the last good buffers back."""
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._good)
