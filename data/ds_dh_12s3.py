"""Sagittal classification: per study and level, the level's crops of the T1 (foramina) and T2/STIR (canal) series."""

from __future__ import annotations

import logging
from typing import Any, Final

import numpy as np
import pandas as pd

from lumbar.anatomy import MISSING, NFN, SCS
from lumbar.images.slices import Ints
from lumbar.items.base import batch_to_device
from lumbar.items.level_items import LevelDataset, collate_levels
from lumbar.items.sequences import Sequences, to_pixels

__all__ = ["CustomDataset", "batch_to_device", "tr_collate_fn", "val_collate_fn"]

CENTRAL: Final = (0.2, 0.8)
"""A label is trusted in training if its human point lies in this middle part of its box, on both axes (published)."""

MOST_OFF_CENTRE: Final = {NFN: 6, SCS: 3}
"""A series with more points outside `CENTRAL` than these is not trained on (published)."""

REVERSED_SHARE: Final = 0.5
"""Share of foraminal sequences that training reads from left to right instead (published)."""

UNBOUNDED: Final = 2**31
"""A size of slices that no box reaches the end of, pixels."""

_log = logging.getLogger(__name__)


class CustomDataset(LevelDataset):
    """Items with `slicelocation` (S): how far each slice lies from right to left, mm from -`slicelocation_clip`.

    Training leaves out labels whose human point is not in the middle of its box, and reverses half of the foraminal
    sequences, left and right grade changing places with them.
    """

    def trusted(self, part: str, sequences: Sequences, target: Ints) -> tuple[Sequences, Ints]:
        """Leave out labels whose human point is off centre, and series with many of them."""
        return check_centring(sequences, target, self.read_human_points(), part)

    def choose_slices(self, part: str, rows: Ints, rng: np.random.Generator) -> tuple[Ints, bool]:
        """Reverse some of the foraminal sequences."""
        turned = part == NFN and rng.random() < REVERSED_SHARE
        return (rows[::-1], True) if turned else (rows, False)

    def further_entries(self, part: str, number: int, rows: Ints) -> dict[str, Any]:
        """Give the slices' patient x; a slice of unknown position counts as central."""
        reach = self.cfg.slicelocation_clip
        x = np.nan_to_num(self.sequences[part].slices.position[rows, 0])
        return {"slicelocation": np.rint(x.clip(-reach, reach) + reach).astype(np.int64)}


tr_collate_fn = val_collate_fn = collate_levels


def check_centring(sequences: Sequences, target: Ints, points: pd.DataFrame, part: str) -> tuple[Sequences, Ints]:
    """Leave out labels whose human point is not in the middle of its box, and series with many of them.

    Such points say that the level was miscounted, by the localiser or by the human. The box counts with what it has
    beyond the right and the lower edge of the slice, not with what it has beyond the others (published).

    Parameters
    ----------
    sequences : Sequences
        Sequences of one condition group.
    target : ndarray, shape (N, 2)
        Their labels.
    points : DataFrame
        As `lumbar.labels.human.human_points` gives them.
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
    box = to_pixels(sequences.box[number], UNBOUNDED, sequences.rounding)
    place = (xy - box[:, :2]) / (box[:, 2:] - box[:, :2])  # (0, 0) is the upper left corner, (1, 1) the lower right
    off = np.any((place < CENTRAL[0]) | (place > CENTRAL[1]), axis=1)
    target = target.copy()
    target[number[off], points["side"].to_numpy(np.int64)[off]] = MISSING
    series, count = np.unique(sequences.series_id[number[off]], return_counts=True)
    left_out = series[count > MOST_OFF_CENTRE[part]]
    keep = ~np.isin(sequences.series_id, left_out)
    _log.info("%s: %d of %d human points are off centre, their labels left out", part, off.sum(), len(off))
    _log.info("%s: %d series have too many of them and are left out", part, len(left_out))
    return sequences.take(keep), target[keep]
