"""Predictions for every item of a dataset, each exactly once, on one rank or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lumbar.engine.ranks import Ranks

Batch = Mapping[str, Tensor]


class Means:
    """Running means of losses, each batch weighted by its number of labels; and counts of events.

    Parameters
    ----------
    sums : mapping, optional
        Of an earlier part of the same epoch: per loss the weighted sum and the weight.
    counts : mapping, optional
        How often something happened; equal on all ranks.
    """

    def __init__(self, sums: Mapping[str, list[float]] | None = None, counts: Mapping[str, int] | None = None) -> None:
        self.sums = {name: list(pair) for name, pair in (sums or {}).items()}
        self.counts = dict(counts or {})

    def add(self, values: Mapping[str, float], weight: float) -> None:
        """Add a batch; losses that are undefined in it (not finite) are left out."""
        for name, value in values.items():
            if math.isfinite(value) and weight > 0:
                pair = self.sums.setdefault(name, [0.0, 0.0])
                pair[0] += value * weight
                pair[1] += weight

    def merged(self, ranks: Ranks) -> Means:
        """Combine those of all ranks, on rank 0."""
        result = Means(counts=self.counts)
        for sums in ranks.gather(self.sums):
            for name, (total, weight) in sums.items():
                result.add({name: total / weight}, weight)
        return result

    def values(self, prefix: str) -> dict[str, float]:
        """Give the means, named ``<prefix>_<loss>``."""
        return {f"{prefix}_{name}": total / weight for name, (total, weight) in self.sums.items()}


def read_losses(output: Mapping[str, Tensor]) -> tuple[dict[str, float], float]:
    """Read a network's losses and its number of labels, in one transfer from its device.

    Returns
    -------
    losses : dict
        Every key that starts with ``loss``; empty without targets.
    labels : float
        `n_valid`; 1 when the network does not count.
    """
    names = [name for name in output if name.startswith("loss")]
    if not names:
        return {}, 0.0
    counted = [output["n_valid"]] if "n_valid" in output else []
    numbers = torch.stack([value.detach().float() for value in [*(output[name] for name in names), *counted]]).tolist()
    return dict(zip(names, numbers, strict=False)), numbers[-1] if counted else 1.0


@torch.inference_mode()
def evaluate(
    model: Callable[[Batch], dict[str, Tensor]] | nn.Module,
    loader: Iterable[Any],
    batch_to_device: Callable[[Any, torch.device], Batch],
    ranks: Ranks,
    autocast: AbstractContextManager[Any] | None = None,
) -> tuple[dict[str, Tensor], Means]:
    """Run a network in eval mode over a loader.

    Parameters
    ----------
    model : Module
        In eval mode, on the rank's device.
    loader : iterable
        This rank's batches, of `lumbar.engine.batches.make_loader`.
    batch_to_device : callable
        The data module's.
    ranks : Ranks
        This process.
    autocast : context manager, optional
        For lower precision.

    Returns
    -------
    outputs : dict of Tensor
        On rank 0 whatever the network returns per row, all rows in the order of the dataset; elsewhere empty.
    losses : Means
        On rank 0.
    """
    means, rows = Means(), []
    for batch in loader:
        with autocast or nullcontext():
            output = model(batch_to_device(batch, ranks.device))
        means.add(*read_losses(output))
        rows.append({name: value.cpu() for name, value in output.items() if not is_summary(name)})
    by_rank = ranks.gather(rows)
    # Batch b went to rank b % world.
    in_order = [by_rank[b % ranks.world][b // ranks.world] for b in range(sum(map(len, by_rank)))]
    names = in_order[0] if in_order else {}
    return {name: torch.cat([batch[name] for batch in in_order]) for name in names}, means.merged(ranks)


def is_summary(name: str) -> bool:
    """Say whether a key of a network's output describes the batch and not a row."""
    return name.startswith("loss") or name == "n_valid"
