"""Which items a pass visits, in which order, and the loader that fetches them.

The order of an epoch follows from the seed and the epoch alone, so it is the same for any number of workers, and a
resumed run finds its place again. A pass is a list of batches; rank r of w takes every w-th batch, so that several
ranks see the very batches of one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from lumbar.cli import UserError, cores
from lumbar.config import Config
from lumbar.engine.ranks import Ranks
from lumbar.engine.signals import outlive_signals

Batches = list[list[int]]

DEBUG_BATCHES = 2
"""Batches per pass and rank with ``cfg.debug``."""


def training_batches(cfg: Config, dataset: Any, epoch: int, world: int) -> Batches:
    """Order the items of one training epoch.

    Parameters
    ----------
    cfg : config
        Reads `seed batch_size drop_last data_sample weighted_sampling debug`.
    dataset : Dataset
        For its length; for `sample_weights` (N,) with weighted sampling; for `empty_items` (N,), where it has any:
        items that yield no row. A batch of nothing else gets another item in place of its first.
    epoch : int
        From 0.
    world : int
        Number of ranks.

    Returns
    -------
    list of list of int
        Item indices, batch by batch, for all ranks together: a multiple of `world` batches.

    Raises
    ------
    UserError
        If there are too few items for one batch per rank, or no weights to sample by.
    """
    count = len(dataset)
    # Items draw from (seed, epoch, index) with index < count.
    rng = np.random.default_rng([cfg.seed, epoch, count])
    if cfg.weighted_sampling:
        if not hasattr(dataset, "sample_weights"):
            raise UserError(f"config key 'weighted_sampling': dataset {cfg.dataset} gives no sample_weights")
        weights = np.asarray(dataset.sample_weights, dtype=np.float64)
        order = rng.choice(count, cfg.data_sample or count, p=weights / weights.sum())
    else:
        order = rng.permutation(count)[: cfg.data_sample or None]
    batches = in_batches(order.tolist(), cfg.batch_size)
    if cfg.drop_last and batches and len(batches[-1]) < cfg.batch_size:
        batches.pop()
    batches = batches[: len(batches) // world * world]
    empty = getattr(dataset, "empty_items", np.zeros(count, bool))
    for batch in batches:
        if empty[batch].all():
            batch[0] = int(rng.choice(np.flatnonzero(~empty)))
    if not batches:
        raise UserError(
            f"config key 'batch_size': {len(order)} training items are too few for a batch of {cfg.batch_size} on each "
            f"of {world} rank(s); lower --batch_size, or keep incomplete batches with --drop_last False"
        )
    return batches[: DEBUG_BATCHES * world] if cfg.debug else batches


def validation_batches(cfg: Config, dataset: Any) -> Batches:
    """Put all items in batches, in order."""
    batches = in_batches(range(len(dataset)), cfg.batch_size_val or cfg.batch_size)
    return batches[:DEBUG_BATCHES] if cfg.debug else batches


def in_batches(order: Sequence[int], size: int) -> Batches:
    """Cut a sequence into batches; the last may be shorter."""
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def make_loader(
    cfg: Config, dataset: Dataset[Any], batches: Batches, collate: Callable[..., Any], ranks: Ranks
) -> DataLoader[Any]:
    """Fetch this rank's share of the batches, in order.

    Parameters
    ----------
    cfg : config
        Reads `num_workers` (capped at the number of cores) and `seed`.
    dataset : Dataset
        Of a data module.
    batches : list of list of int
        For all ranks together.
    collate : callable
        The data module's collate function.
    ranks : Ranks
        Which share, and for which device.
    """
    return DataLoader(
        dataset,
        batch_sampler=batches[ranks.rank :: ranks.world],
        collate_fn=collate,
        num_workers=0 if cfg.debug else min(cfg.num_workers, cores()),
        pin_memory=ranks.device.type == "cuda",
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(cfg.seed),  # its own: iterating leaves the global state alone
    )


def progress_bar(
    batches: DataLoader[Any], title: str, ranks: Ranks, total: int | None = None, initial: int = 0
) -> tqdm[Any]:
    """Show on rank 0 how a pass of several batches proceeds: live in a terminal, twice a minute in a log file."""
    interval, hidden = 0.1 if sys.stderr.isatty() else 30, not ranks.main or len(batches) < 2
    return tqdm(batches, title, total, leave=False, unit="batch", initial=initial, mininterval=interval, disable=hidden)


@contextmanager
def worker_errors() -> Iterator[None]:
    """Show what went wrong in a loader process as if it had happened in this one.

    Raises
    ------
    UserError
        The worker's own, without its traceback; or that a worker died.
    """
    try:
        yield
    except UserError as error:
        raise UserError(str(error).rpartition(f"{UserError.__module__}.UserError: ")[2], error.status) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            "a loader process died (killed, or out of memory or of shared memory): lower --num_workers; "
            "0 loads in the main process"
        ) from error


def _start_worker(worker: int) -> None:
    """Give a worker one thread, and leave signals to the main process, which saves first."""
    cv2.setNumThreads(0)
    outlive_signals()
