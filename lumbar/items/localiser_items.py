"""The localisers' common part: one whole slice between its neighbours, with points to find on it."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.config import Config
from lumbar.images.slices import Floats, Ints, SliceIndex
from lumbar.images.volumes import resize
from lumbar.items.augment import Augmentation, Mode
from lumbar.items.base import ItemDataset, Row, as_tensors


class PointDataset(ItemDataset):
    """One item per slice, with P points to find on it.

    A subclass says in `annotate` which slices are items and where their points are.

    Parameters
    ----------
    df, cfg, aug, mode
        As for `ItemDataset`.
    series_types : tuple of str
        Series descriptions to take.
    neighbours : int
        Slices on each side that become channels of the item; missing ones are black.
    """

    def __init__(
        self,
        df: pd.DataFrame,
        cfg: Config,
        aug: Augmentation | None,
        mode: Mode,
        series_types: tuple[str, ...],
        neighbours: int = 0,
    ) -> None:
        super().__init__(df, cfg, aug, mode)
        self.neighbours = neighbours
        self.slices = self.load_slices(df[df["series_description"].isin(series_types)])
        rows, points = self.annotate(self.slices)
        self.rows: Ints = rows
        """Row of the slice index of each item, shape (items)."""
        self.points: Floats = points
        """x, y in pixels of the item's slice, shape (items, P, 2); NaN where not annotated."""

    def annotate(self, slices: SliceIndex) -> tuple[Ints, Floats]:
        """Choose the items: rows of the slice index, and their points."""
        raise NotImplementedError

    def placeholder(self, width: int, height: int) -> tuple[float, float]:
        """Where a point that is not annotated is said to be, pixels; its `target_mask` is 0.

        It is augmented with the others, and like them repeats a draw that hides it (published).
        """
        return width / 2, height / 2

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        """Read an item: the slice, its points normalised to 0..1, and which of them are annotated."""
        row = self.rows[index]
        images = self._read(int(row))
        height, width = images.shape[1:]
        annotated = ~np.isnan(self.points[index]).any(axis=1)
        points = np.where(annotated[:, None], self.points[index].clip(min=0), self.placeholder(width, height))
        if self.aug is not None:
            images, points = self.aug(images, self.rng(index), points)
        target = points / images.shape[:0:-1]
        return as_tensors(
            {
                "input": images if self.neighbours else images[0],
                "target": target.ravel().astype(np.float32),
                "target_mask": np.repeat(annotated, 2).astype(np.int64),
                "series_id": self.slices.series_id[row],
                "instance_numbers": self.slices.instance[row],
            }
        )

    def _read(self, row: int) -> NDArray[np.uint8]:
        """Read a slice between its neighbours in the series, all at its size: shape (1 + 2 neighbours, H, W)."""
        slices = self.slices
        study_id, series_id = slices.study_id[row], slices.series_id[row]
        volume = self.store.series(study_id, series_id)
        centre = volume.crop(int(slices.instance[row]))
        images = np.zeros((1 + 2 * self.neighbours, *centre.shape), dtype=np.uint8)
        for channel, other in enumerate(range(row - self.neighbours, row + self.neighbours + 1)):
            if 0 <= other < len(slices) and slices.series_id[other] == series_id:
                image = volume.crop(int(slices.instance[other]))
                images[channel] = resize(image[None], centre.shape, cv2.INTER_CUBIC)[0]
        return images
