"""The classifiers' items: per study and level, the slice sequences of each condition group that is wanted."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar import tables
from lumbar.anatomy import GRADE_WEIGHTS, LEVELS, NFN, PARTS, SERIES_TYPES, SS
from lumbar.config import Config
from lumbar.images.slices import Ints
from lumbar.images.volumes import Pixels
from lumbar.items.augment import Augmentation, Mode, input_size
from lumbar.items.axial_crops import axial_sequences
from lumbar.items.base import ItemDataset, Row, as_tensors, pad_rows
from lumbar.items.sagittal_crops import sagittal_sequences
from lumbar.items.sequences import Sequences
from lumbar.labels.human import StudyGrades

SIDED: Final = ("target", "nfn_label")
"""Entries of a row that hold a left and a right grade."""


class LevelDataset(ItemDataset):
    """One item per study and level, with one row per condition group (training) or per series (otherwise).

    Parameters
    ----------
    df, cfg, aug, mode
        As for `ItemDataset`; `cfg` also gives `parts`, `img_size` and the `filter_logits_mask_thresh_*`.

    Attributes
    ----------
    sequences : dict of str to Sequences
        The sequences of each condition group.
    target : dict of str to ndarray, shape (N, 2)
        Left and right grade of each sequence.
    """

    def __init__(self, df: pd.DataFrame, cfg: Config, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode)
        self.size = input_size(cfg)
        self.sequences: dict[str, Sequences] = {}
        self.target: dict[str, Ints] = {}
        grades = StudyGrades(df)
        for part in (part for part in PARTS if part in cfg.parts):
            sequences = self.make_sequences(part, df)
            target = grades.pairs(part, sequences.study_id, sequences.level)
            if self.training:
                sequences, target = self.trusted(part, sequences, target)
            self.sequences[part], self.target[part] = sequences, target
        self._list_items(df)

    def trusted(self, part: str, sequences: Sequences, target: Ints) -> tuple[Sequences, Ints]:
        """Training: leave out sequences and labels that seem wrong; none here."""
        return sequences, target

    def further_items(self, df: pd.DataFrame) -> Ints:
        """Training: keys (`level_key`) of items that have no sequence and yield no row; none here."""
        return np.zeros(0, np.int64)

    def choose_slices(self, part: str, rows: Ints, rng: np.random.Generator) -> tuple[Ints, bool]:
        """Training: the slices of a sequence that are used, and whether left and right change places with them."""
        return rows, False

    def turn_images(self, part: str, images: Pixels, rng: np.random.Generator) -> tuple[Pixels, bool]:
        """Training: turn the crops over, and say whether left and right change places with them; never here."""
        return images, False

    def make_sequences(self, part: str, df: pd.DataFrame) -> Sequences:
        """Cut the levels out of all series of one condition group."""
        slices = self.load_slices(df[df["series_description"] == SERIES_TYPES[PARTS.index(part)]])
        if part == SS:
            mapping = self.read_table(tables.AXIAL_LEVELS, self.cfg.axial_lvl_table)
            return axial_sequences(mapping, self.read_table(tables.AXIAL_XY, self.cfg.axial_xy_table), slices)
        cfg = self.cfg
        threshold = cfg.filter_logits_mask_thresh_sag_t1 if part == NFN else cfg.filter_logits_mask_thresh_sag_t2
        return sagittal_sequences(self.read_table(tables.SAGITTAL_XY, cfg.sag_xy_table), slices, threshold)

    def _list_items(self, df: pd.DataFrame) -> None:
        """Group the sequences by study and level: item i is ``order[first[i]:first[i + 1]]``."""
        nothing = [np.zeros(0, np.int64)]
        keys = np.concatenate([*nothing, *(level_key(each.study_id, each.level) for each in self.sequences.values())])
        lengths = [len(sequences) for sequences in self.sequences.values()]
        self._part = np.repeat(np.arange(len(lengths)), lengths)
        self._number = np.concatenate([*nothing, *(np.arange(length) for length in lengths)])
        self._order = np.lexsort((self._number, self._part, keys))
        further = self.further_items(df) if self.training and len(keys) else nothing[0]
        items = np.union1d(keys, further)
        self._first = np.append(np.searchsorted(keys[self._order], items), len(keys))

    @property
    def empty_items(self) -> NDArray[np.bool_]:
        """Say which items yield no row, shape (items)."""
        return np.diff(self._first) == 0

    def __len__(self) -> int:
        return len(self._first) - 1

    def __getitem__(self, index: int) -> list[Row]:
        """Read an item: one row per condition group when training, else one per series of each group."""
        rng = self.rng(index)
        members = self._order[self._first[index] : self._first[index + 1]]
        rows = []
        for code, part in enumerate(self.sequences):
            numbers = self._number[members[self._part[members] == code]]
            if self.training and len(numbers):
                numbers = rng.choice(numbers, 1)
            rows += [self.read_row(part, int(number), rng) for number in numbers]
        return rows

    def read_row(self, part: str, number: int, rng: np.random.Generator) -> Row:
        """Read one sequence with its label and identifiers."""
        sequences, target = self.sequences[part], self.target[part][number]
        rows, reversed_, mirrored = sequences.slice_rows(number), False, False
        if self.training:
            rows, reversed_ = self.choose_slices(part, rows, rng)
        images = sequences.read(self.store, number, rows, self.size, turned=part == SS)
        if self.training:
            images, mirrored = self.turn_images(part, images, rng)
        if self.aug is not None:
            images, _ = self.aug(np.ascontiguousarray(images), rng)
        row = {
            "input": images[:, None],  # (S, 1, H, W)
            "target": target,
            "study_id": sequences.study_id[number],
            "series_id": sequences.series_id[number],
            "level_num": sequences.level[number],
            "condition": PARTS.index(part),
            "instance_numbers": sequences.slices.instance[rows],
            **self.further_entries(part, number, rows),
        }
        if reversed_ != mirrored:
            row |= {name: row[name][::-1] for name in SIDED if name in row}
        return as_tensors(row)

    def further_entries(self, part: str, number: int, rows: Ints) -> dict[str, Any]:
        """Further entries of a row; none here."""
        return {}

    @property
    def sample_weights(self) -> NDArray[np.float64]:
        """Weight of each item for weighted sampling, shape (items): the competition's weight of its worst grade."""
        weights = np.append(GRADE_WEIGHTS, 1.0)  # a missing grade, -1 below, counts as the mildest
        worst = np.concatenate([np.zeros(0, np.int64), *(target.max(axis=1) for target in self.target.values())])
        result = np.full(len(self), min(GRADE_WEIGHTS))
        items = np.repeat(np.arange(len(self)), np.diff(self._first))
        np.maximum.at(result, items, weights[np.maximum(worst, -1)][self._order])
        return result


def collate_levels(items: list[list[Row]]) -> Row:
    """Make a batch of all rows of some items; sequences are padded to the longest."""
    return pad_rows([row for item in items for row in item], ("input", "instance_numbers", "slicelocation"))


def level_key(study_id: Ints, level: Ints) -> Ints:
    """One number for a study and a level, ascending with both."""
    return study_id * len(LEVELS) + level
