"""What all datasets share: reproducible randomness, the tables and slices of their series, batches with padding."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lumbar import tables
from lumbar.config import Config
from lumbar.images.slices import SliceIndex, load_slices
from lumbar.images.volumes import VolumeStore
from lumbar.items.augment import Augmentation, Mode
from lumbar.labels.human import human_points
from lumbar.tables import Table, read_table

Row = dict[str, Tensor]


class ItemDataset(Dataset[Any]):
    """Base of the datasets.

    Parameters
    ----------
    df : DataFrame
        Rows of the fold file: one per series. New studies need no more than `study_id`, `series_id` and
        `series_description`.
    cfg : config
        Reads `seed`, `data_dir`, `cache` and the paths of the tables.
    aug : Augmentation or None
        As `lumbar.items.augment.build_augmentation` makes it.
    mode : {'train', 'val', 'test'}
        'train' draws at random; in 'test' the label files may be absent, and targets are then missing.

    Attributes
    ----------
    epoch : int
        Set before each epoch: random items depend on the seed, the epoch and their index, and on nothing else.
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        if mode not in ("train", "val", "test"):
            raise ValueError(f"mode must be train, val or test, got {mode!r}")
        self.cfg = cfg
        self.aug = aug
        self.mode = mode
        self.epoch = 0
        self.store = VolumeStore(Path(cfg.data_dir) / cfg.cache)

    @property
    def training(self) -> bool:
        """Whether items are drawn at random."""
        return self.mode == "train"

    def rng(self, index: int) -> np.random.Generator:
        """Make the generator of one item in the present epoch."""
        return np.random.default_rng([max(self.cfg.seed, 0), self.epoch, index])

    def read_table(self, table: Table, path: str, optional: bool = False) -> pd.DataFrame:
        """Read a table where the config says it lies.

        Parameters
        ----------
        table : Table
            One of `lumbar.tables`.
        path : str
            The config's path, relative to the data folder.
        optional : bool
            A label file, which new studies do not have: in mode 'test' an absent one counts as empty.
        """
        data = Path(self.cfg.data_dir)
        if optional and self.mode == "test" and not (data / path).is_file():
            return pd.DataFrame(columns=list(table.columns))
        return read_table(data, dataclasses.replace(table, path=path))

    def read_human_points(self) -> pd.DataFrame:
        """Read the human label points, as `lumbar.labels.human.human_points` gives them."""
        return human_points(self.read_table(tables.LABEL_COORDINATES, self.cfg.coordinates_table, optional=True))

    def load_slices(self, series: pd.DataFrame) -> SliceIndex:
        """Index the cached slices of some rows of the fold file."""
        meta = self.read_table(tables.META, self.cfg.meta_table)
        return load_slices(meta, self.store.root, series.drop_duplicates("series_id"))


def as_tensors(values: Mapping[str, Any]) -> Row:
    """Turn arrays and numbers into tensors of the same type (Python integers into int64)."""
    return {key: torch.as_tensor(np.ascontiguousarray(value)).reshape(np.shape(value)) for key, value in values.items()}


def stack_rows(rows: Sequence[Mapping[str, Tensor]]) -> Row:
    """Stack rows of equal shapes into a batch."""
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def pad_rows(rows: Sequence[Mapping[str, Tensor]], per_slice: Collection[str]) -> Row:
    """Stack rows that are sequences of different lengths.

    Parameters
    ----------
    rows : sequence of mapping
        With `input` (S, ...) among their keys.
    per_slice : collection of str
        Keys whose first dimension is that of the slices; they are padded with zeros to the longest row of the batch.

    Returns
    -------
    dict of Tensor
        Each key with the rows as first dimension, and `mask` (B, S), int64, 1 on real slices.
    """
    lengths = torch.tensor([len(row["input"]) for row in rows])
    batch = {}
    for key, first in rows[0].items():
        if key in per_slice:
            batch[key] = first.new_zeros((len(rows), int(lengths.max()), *first.shape[1:]))
            for padded, row in zip(batch[key], rows, strict=True):
                padded[: len(row[key])] = row[key]
        else:
            batch[key] = torch.stack([row[key] for row in rows])
    batch["mask"] = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    return batch


def batch_to_device(batch: Mapping[str, Tensor], device: torch.device | str) -> Row:
    """Copy a batch to a device, without waiting where the memory is pinned; images travel as bytes."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}
