"""The networks of one config as one: all folds and seeds look at the same items, and their outputs are averaged."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch
from torch import Tensor, nn

from lumbar import tables
from lumbar.cli import UserError
from lumbar.config import Config, find_module
from lumbar.engine import checkpoint, optimisation
from lumbar.engine.batches import make_loader, validation_batches, worker_errors
from lumbar.engine.evaluation import evaluate
from lumbar.engine.experiment import Modules, find_modules
from lumbar.engine.ranks import Ranks
from lumbar.images.cache import VERSIONS
from lumbar.items.augment import build_augmentation
from lumbar.predict.checkpoints import Trained

Batch = Mapping[str, Tensor]

IMAGES: Final = "test_images"
"""Name of the image folder in a data folder of new studies."""

AVERAGED: Final = ("logits", "logits_mask")
"""What is averaged over networks: logits of grades, coordinates, visibility. All else says what a row is."""

SPREAD: Final = "spread"
"""Standard deviation of the logits over the networks; 0 for a single one."""

CPU_BATCH: Final = 4
"""Items at a time on a CPU, which larger batches make no faster; a classifier's item can be a hundred slices."""


class OutOfMemory(UserError):
    """The GPU's memory does not suffice: the fault of no study, and the end of a run."""


def load_network(trained: Trained, notes: list[str]) -> nn.Module:
    """Build a network and load its weights; `notes` gets a line if its training had not ended.

    Raises
    ------
    UserError
        If the file is damaged or its weights do not fit its config.
    """
    content = checkpoint.load(trained.path)
    with warnings.catch_warnings(action="ignore"):
        network: nn.Module = find_module("models", trained.cfg.model, ["Net"], str(trained.path)).Net(trained.cfg)
    try:
        checkpoint.fit_weights(network, content, trained.path)
    except UserError as error:
        fault = str(error).partition(";")[0]  # what it advises is for training
        raise UserError(
            f"{fault}; these are weights of another config than {trained.cfg.name}, or of an older version of it: "
            "train it again"
        ) from error
    if content.get("epoch", trained.cfg.epochs) < trained.cfg.epochs:
        notes.append(f"{trained.path}: its training stopped after epoch {content['epoch']} of {trained.cfg.epochs}")
    return network.eval()


def load_networks(members: Sequence[Trained], problems: list[str], notes: list[str], strict: bool) -> list[nn.Module]:
    """Load all networks of a config; `problems` gets a line for each that cannot be used and is left out.

    Raises
    ------
    UserError
        With `strict`, in place of leaving one out.
    """
    networks = []
    for member in members:
        try:
            networks.append(load_network(member, notes))
        except UserError as error:
            if strict:
                raise
            problems.append(f"{error}; left out")
    return networks


def cache_version(cfg: Config) -> str:
    """Tell which 8-bit cache a config reads, of `lumbar.images.cache.VERSIONS`.

    Raises
    ------
    UserError
        If it is none of them.
    """
    version = str(cfg.cache).rpartition("_")[2]
    if version not in VERSIONS:
        raise UserError(f"config {cfg.name}: cache {cfg.cache!r} cannot be made here; known are {', '.join(VERSIONS)}")
    return version


class Ensemble:
    """All usable networks of one config.

    Parameters
    ----------
    cfg : config
        That they were trained with.
    networks : sequence of Module
        At least one.
    ranks : Ranks
        For the device.
    workers : int
        Loader processes; 1 loads in this process.
    batch_size : int or None
        Items at a time; None: as in validation, on a CPU at most `CPU_BATCH`.
    inference : config, optional
        An inference config, whose items are taken instead (every slice instead of the annotated ones).
    """

    def __init__(
        self,
        cfg: Config,
        networks: Sequence[nn.Module],
        ranks: Ranks,
        workers: int,
        batch_size: int | None,
        inference: Any = None,
    ) -> None:
        items = inference or cfg
        most = CPU_BATCH if ranks.device.type == "cpu" else sys.maxsize
        self.cfg = replace(
            cfg,
            train=False,
            debug=False,
            dataset=items.dataset,
            full_test_set=items.full_test_set,
            cache=f"{IMAGES}_{cache_version(cfg)}",
            num_workers=workers if workers > 1 else 0,
            batch_size_val=batch_size or min(cfg.batch_size_val or cfg.batch_size, most),
            # Where the tables of new studies lie, whatever training called them.
            meta_table=tables.TEST_META.path,
            axial_xy_table=tables.AXIAL_XY.path,
            sag_xy_table=tables.SAGITTAL_XY.path,
            axial_lvl_table=tables.AXIAL_LEVELS.path,
        )
        self.modules: Modules = find_modules(self.cfg)
        self.networks = [network.to(ranks.device) for network in networks]
        self.ranks = ranks
        self.autocast = optimisation.make_autocast(cfg, ranks.device)

    def __len__(self) -> int:
        return len(self.networks)

    def predict(self, series: pd.DataFrame, data: Path) -> dict[str, Tensor]:
        """Predict all items of some series (`study_id, series_id, series_description`) of a data folder.

        Returns
        -------
        dict of Tensor
            As one network's output in validation without targets, `AVERAGED` averaged, and `SPREAD`; empty where
            there are no items.
        """
        cfg = replace(self.cfg, data_dir=str(data), seed=max(self.cfg.seed, 0))
        dataset = self.modules.data.CustomDataset(series, cfg, build_augmentation(cfg, "test"), "test")
        batches = validation_batches(cfg, dataset)
        loader = make_loader(cfg, dataset, batches, self.modules.data.val_collate_fn, self.ranks)
        try:
            with worker_errors():
                output, _ = evaluate(self, loader, self.modules.data.batch_to_device, self.ranks, self.autocast)
        except torch.cuda.OutOfMemoryError as error:
            size = cfg.batch_size_val or cfg.batch_size
            raise OutOfMemory(
                f"out of GPU memory with {size} items of {cfg.name} at a time; lower --batch-size"
            ) from error
        return output

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Let every network look at a batch, and average."""
        items = {key: value for key, value in batch.items() if key != "target"}  # nothing to compare with
        outputs = [network(items) for network in self.networks]
        average = dict(outputs[0])
        for name in AVERAGED:
            if name in average:
                average[name] = torch.stack([output[name].float() for output in outputs]).mean(0)
        every = torch.stack([output["logits"].float() for output in outputs])
        return average | {SPREAD: every.std(0, correction=0)}

    def post_process(self, output: dict[str, Tensor], series: pd.DataFrame) -> dict[str, Tensor]:
        """Turn a classifier's output into the targets of each study, as its config says."""
        return self.modules.postprocess.post_process_pipeline(self.cfg, output, series)
