"""The processes of a run: one, or several started by torchrun on one machine or many.

Every process has a rank and a device. GPUs talk through NCCL, CPUs through gloo; plain Python values always go
through gloo. With one process every function here is a no-op, so callers need no second path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from lumbar.cli import UserError

Value = TypeVar("Value")

TIMEOUT: Final = timedelta(hours=2)
"""How long ranks wait for one another: rank 0 may be busy with the metric. torchrun ends all when one dies."""


@dataclass(frozen=True)
class Ranks:
    """One process among those of the run.

    Parameters
    ----------
    rank, world : int
        This process, of how many, over all machines.
    device : torch.device
        Where this process computes.
    group : ProcessGroup, optional
        The connection for plain values.
    """

    rank: int
    world: int
    device: torch.device
    group: Any = None

    @property
    def main(self) -> bool:
        """Whether this is the one process that writes."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """Collect one value per rank on rank 0, by rank; elsewhere an empty list."""
        if self.world == 1:
            return [value]
        values: list[Any] | None = [None] * self.world if self.main else None
        dist.gather_object(value, values, group=self.group)
        return values or []

    def broadcast(self, value: Value) -> Value:
        """Give every rank the value of rank 0."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, group=self.group)
        return values[0]

    def any(self, *flags: bool) -> list[bool]:
        """Tell every rank which of the flags is set on at least one of them."""
        if self.world == 1:
            return list(flags)
        tensor = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.group)
        return [bool(flag) for flag in tensor.tolist()]

    def share_buffers(self, model: nn.Module) -> None:
        """Give every rank rank 0's running statistics, each having made its own since the last forward pass."""
        if self.world > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Make the backward pass average gradients over the ranks."""
        if self.world == 1:
            return model
        # A batch may lack a condition group, and then leaves that group's head without a gradient.
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices, find_unused_parameters=True)


@contextmanager
def start(gpus: list[int] | None = None) -> Iterator[Ranks]:
    """Join the run's processes for the length of the block; each computes with ``OMP_NUM_THREADS`` threads, or one.

    Parameters
    ----------
    gpus : list of int, optional
        GPUs to use, one per local rank; an empty list is the CPU; None takes them as they come.

    Raises
    ------
    UserError
        If a GPU does not exist, or there are more local ranks than GPUs.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = choose_device(gpus, int(os.environ.get("LOCAL_RANK", 0)))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world == 1:
        yield Ranks(rank, world, device)
        return
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # as torchrun itself sets it, but only for several ranks on one machine
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(rank, world, device, dist.new_group(backend="gloo", timeout=TIMEOUT))
    finally:
        dist.destroy_process_group()


def choose_device(gpus: list[int] | None, local_rank: int) -> torch.device:
    """Choose this process's device: its GPU, or the CPU where there is none or none is wanted."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0 or gpus == []:
        return torch.device("cpu")
    chosen = gpus or list(range(count))
    if max(chosen) >= count:
        raise UserError(f"option -G: no GPU {max(chosen)}; this machine has {count}, numbered from 0", status=2)
    if local_rank >= len(chosen):
        raise UserError(
            f"torchrun --nproc_per_node: local rank {local_rank} has no GPU of its own, {len(chosen)} to choose from",
            status=2,
        )
    return torch.device("cuda", chosen[local_rank])
