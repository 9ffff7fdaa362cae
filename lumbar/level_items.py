"""The classifiers' items: per study and level, the slice sequences of each condition group that is wanted."""

from __future__ import annotations

import logging
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar import tables
from lumbar.anatomy import GRADE_WEIGHTS, MISSING, NFN, PARTS, SCS, SERIES_TYPES, SS
from lumbar.augment import Augmentation, Mode, input_size
from lumbar.axial_crops import axial_sequences
from lumbar.boxes import relative_position
from lumbar.items import ItemDataset, Row, as_tensors, pad_rows
from lumbar.labels import StudyGrades
from lumbar.sagittal_crops import sagittal_sequences
from lumbar.sequences import Sequences

Ints = NDArray[np.int64]

_log = logging.getLogger(__name__)

CENTRAL: Final = (0.2, 0.8)
"""A label is trusted in training if its human point lies in this middle part of its box, on both axes (published)."""

MOST_OFF_CENTRE: Final = {NFN: 6, SCS: 3}
"""A series with more points outside `CENTRAL` than these is not trained on (published)."""

SIDED: Final = ("target", "nfn_label")
"""Entries of a row that hold a left and a right grade."""

STRETCH: Final = (0.5, 0.9)
"""Share of an axial sequence that is used in training, a random contiguous one (published)."""


class LevelDataset(ItemDataset):
    """One item per study and level, with one row per condition group (training) or per series (otherwise).

    Parameters
    ----------
    df, cfg, aug, mode
        As for `ItemDataset`; `cfg` also gives `parts`, `img_size` and the `filter_logits_mask_thresh_*`.

    Attributes
    ----------
    sequences : dict of str to Sequences
        By condition group.
    target : dict of str to ndarray, shape (N, 2)
        Left and right grade of each sequence.
    """

    def __init__(self, df: pd.DataFrame, cfg: Any, aug: Augmentation | None, mode: Mode) -> None:
        super().__init__(df, cfg, aug, mode)
        self.size = input_size(cfg)
        self.sequences: dict[str, Sequences] = {}
        self.target: dict[str, Ints] = {}
        grades = StudyGrades(df)
        for part in (part for part in PARTS if part in cfg.parts):
            sequences = self._make_sequences(part, df[df["series_description"] == SERIES_TYPES[PARTS.index(part)]])
            target = grades.pairs(part, sequences.study_id, sequences.level)
            if self.training and part in MOST_OFF_CENTRE:
                sequences, target = check_centring(sequences, target, self.read_human_points(), part)
            self.sequences[part], self.target[part] = sequences, target
        self._list_items()

    def _make_sequences(self, part: str, series: pd.DataFrame) -> Sequences:
        """Cut the levels out of all series of one condition group."""
        slices = self.load_slices(series)
        if part == SS:
            mapping = self.read_table(tables.AXIAL_LEVELS, self.cfg.axial_lvl_table)
            return axial_sequences(mapping, self.read_table(tables.AXIAL_XY, self.cfg.axial_xy_table), slices)
        cfg = self.cfg
        threshold = cfg.filter_logits_mask_thresh_sag_t1 if part == NFN else cfg.filter_logits_mask_thresh_sag_t2
        return sagittal_sequences(self.read_table(tables.SAGITTAL_XY, cfg.sag_xy_table), slices, threshold)

    def _list_items(self) -> None:
        """Group the sequences by study and level: item i is ``order[first[i]:first[i + 1]]``."""
        parts = list(self.sequences)
        lengths = [len(self.sequences[part]) for part in parts]
        self._part = np.repeat(np.arange(len(parts)), lengths)
        self._number = np.concatenate([np.zeros(0, np.int64), *(np.arange(length) for length in lengths)])
        study, level = (
            np.concatenate([np.zeros(0, np.int64), *(getattr(self.sequences[part], name) for part in parts)])
            for name in ("study_id", "level")
        )
        self._order = np.lexsort((self._number, self._part, level, study))
        key = np.stack([study, level])[:, self._order]
        new = np.append(True, (np.diff(key) != 0).any(axis=0))[: len(self._order)]
        self._first = np.append(np.flatnonzero(new), len(self._order))

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
        rows = sequences.slice_rows(number)
        if self.training and part == SS:
            rows = random_stretch(rows, rng)
        images = sequences.read(self.store, number, rows, self.size, turned=part == SS)
        swapped = False
        if self.training and part == NFN and rng.random() < 0.5:
            images, rows, swapped = images[::-1], rows[::-1], True
        if self.training and part == SS and self.cfg.mirror and rng.random() < 0.5:
            images, swapped = images[:, ::-1], True  # a turned crop has the patient's left above
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
            **self.extra(part, number, rows),
        }
        if swapped:
            row |= {name: row[name][::-1] for name in SIDED if name in row}
        return as_tensors(row)

    def extra(self, part: str, number: int, rows: Ints) -> dict[str, Any]:
        """Further entries of a row; none here."""
        return {}

    @property
    def sample_weights(self) -> NDArray[np.float64]:
        """Weight of each item for weighted sampling, shape (items): the competition's weight of its worst grade."""
        weights = np.append(GRADE_WEIGHTS, 1.0)  # a missing grade, -1 below, counts as the mildest
        worst = np.concatenate([np.zeros(0, np.int64), *(target.max(axis=1) for target in self.target.values())])
        per_sequence = weights[np.maximum(worst, -1)][self._order]
        return np.maximum.reduceat(per_sequence, self._first[:-1]) if len(self) else np.zeros(0)


def collate_levels(items: list[list[Row]]) -> Row:
    """Make a batch of all rows of some items; sequences are padded to the longest."""
    return pad_rows([row for item in items for row in item], ("input", "instance_numbers", "slicelocation"))


def random_stretch(rows: Ints, rng: np.random.Generator) -> Ints:
    """Draw a contiguous stretch of a sequence, `STRETCH` of its length and at least one slice."""
    length = max(1, round(len(rows) * rng.uniform(*STRETCH)))
    start = rng.integers(len(rows) - length + 1)
    return rows[start : start + length]


def check_centring(sequences: Sequences, target: Ints, points: pd.DataFrame, part: str) -> tuple[Sequences, Ints]:
    """Leave out labels whose human point is not in the middle of its box, and series with many of them.

    Such points say that the level was miscounted, by the localiser or by the human.

    Parameters
    ----------
    sequences : Sequences
        Of one condition group.
    target : ndarray, shape (N, 2)
        Their labels.
    points : DataFrame
        As `lumbar.labels.human_points` gives them.
    part : str
        ``nfn`` or ``scs``.

    Returns
    -------
    sequences : Sequences
        Without the series left out.
    target : ndarray
        Their labels, -100 for those left out; counts are logged.
    """
    points = points[points["part"] == part]
    of_level = {
        key: n for n, key in enumerate(zip(sequences.series_id.tolist(), sequences.level.tolist(), strict=True))
    }
    number = np.array([of_level.get(key, -1) for key in zip(points["series_id"], points["level"], strict=True)], int)
    slices = sequences.slices
    row = slices.find(points["series_id"], points["instance_number"])
    known = (number >= 0) & (row >= 0)
    points, number, row = points[known], number[known], row[known]
    xy = points[["x", "y"]].to_numpy(np.float64) * (sequences.size[number] / slices.size[row])
    place = relative_position(xy, sequences.pixel_boxes()[number])
    off = np.any((place < CENTRAL[0]) | (place > CENTRAL[1]), axis=1, keepdims=False)
    target = target.copy()
    target[number[off], points["side"].to_numpy(np.int64)[off]] = MISSING
    series, count = np.unique(sequences.series_id[number[off]], return_counts=True)
    left_out = series[count > MOST_OFF_CENTRE[part]]
    keep = ~np.isin(sequences.series_id, left_out)
    _log.info("%s: %d of %d human points are off centre, their labels left out", part, off.sum(), len(off))
    _log.info("%s: %d series have too many of them and are left out", part, len(left_out))
    return sequences.take(keep), target[keep]
