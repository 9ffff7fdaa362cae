"""Which slices there are and where they lie in the patient: the metadata table as sorted arrays.

Datasets and aggregations build a `SliceIndex` once; every later question (the slices of a series, their spatial order,
the row of an instance number) is a search in sorted arrays.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lumbar.cli import UserError
from lumbar.images.geometry import FARTHEST, are_directions
from lumbar.images.volumes import scan_pngs
from lumbar.tables import SLICE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_log = logging.getLogger(__name__)

_STRIDE: Final = 1 << 32
"""Above every instance number: turns (series row, instance number) into one sortable key."""


class SliceIndex:
    """Slices of some series, one row each, sorted by series and instance number.

    Parameters
    ----------
    meta : DataFrame
        Rows of the metadata table (`lumbar.tables.META`), in any order.

    Attributes
    ----------
    study_id, series_id, instance : ndarray, shape (N), int64
        What each slice is.
    position : ndarray, shape (N, 3)
        ImagePositionPatient, mm; NaN where the tag is absent or beyond `lumbar.images.geometry.FARTHEST`.
    orientation : ndarray, shape (N, 6)
        ImageOrientationPatient; NaN where absent, or no unit vectors at right angles.
    spacing : ndarray, shape (N, 2)
        PixelSpacing: between rows, between columns, mm; NaN where absent, not positive or beyond it.
    size : ndarray, shape (N, 2), int64
        Width and height, pixels.
    series : ndarray, shape (M), int64
        The distinct series, ascending.
    first : ndarray, shape (M + 1), int64
        First row of each series; N behind the last.
    common_size : ndarray, shape (M, 2), int64
        Most frequent width and height in each series.
    """

    def __init__(self, meta: pd.DataFrame) -> None:
        meta = meta.sort_values(SLICE, kind="stable")
        self.study_id, self.series_id, self.instance = (
            meta[name].to_numpy(np.int64) for name in ("study_id", "series_id", "instance_number")
        )
        self.position = tag_vectors(meta["ImagePositionPatient"], 3)
        self.orientation = tag_vectors(meta["ImageOrientationPatient"], 6)
        self.spacing = tag_vectors(meta["PixelSpacing"], 2)
        self.orientation[~are_directions(self.orientation)] = np.nan
        self.position[~(np.abs(self.position) < FARTHEST).all(axis=1)] = np.nan
        self.spacing[~((self.spacing > 0) & (self.spacing < FARTHEST)).all(axis=1)] = np.nan
        self.size = meta[["img_w", "img_h"]].to_numpy(np.int64)
        self.series, first = np.unique(self.series_id, return_index=True)
        self.first = np.append(first, len(meta)).astype(np.int64)
        self._keys = np.repeat(np.arange(len(self.series)), np.diff(self.first)) * _STRIDE + self.instance
        self.common_size = self._common_size()

    def __len__(self) -> int:
        return len(self.instance)

    def series_row(self, series_id: ArrayLike) -> Ints:
        """Positions of series in `series`; -1 for a series without slices."""
        return _positions(self.series, np.asarray(series_id))

    def find(self, series_id: ArrayLike, instance: ArrayLike) -> Ints:
        """Rows of slices given by series and instance number; -1 for a slice that is not there."""
        return _positions(self._keys, self.series_row(series_id) * _STRIDE + np.asarray(instance, dtype=np.int64))

    def rows_of(self, series_id: int) -> Ints:
        """Rows of one series' slices; none if it has none."""
        row = int(self.series_row(series_id))
        return np.arange(self.first[row], self.first[row + 1]) if row >= 0 else np.zeros(0, dtype=np.int64)

    def right_to_left(self) -> Ints:
        """All rows, series after series, each along its stack from the patient's right to the left.

        As `feet_to_head` does it.
        """
        return self._along(np.arange(len(self)), np.repeat(np.arange(len(self.series)), np.diff(self.first)), axis=0)

    def feet_to_head(self, rows: Ints, group: Ints) -> Ints:
        """Order slices of axial stacks along the stack, from the feet to the head, within each group.

        The order is that of the positions along the group's mean slice normal, because with tilted slices the z of
        the first pixel alone can run against the stack; along z where no orientation is known. A group with a slice
        of unknown position, and slices at one position, stand by instance number.

        Parameters
        ----------
        rows : ndarray, shape (R)
            Rows of slices.
        group : ndarray, shape (R)
            Ascending numbers of the groups, from 0.

        Returns
        -------
        ndarray, shape (R)
            The same rows, group after group.
        """
        return self._along(rows, group, axis=2)

    def _along(self, rows: Ints, group: Ints, axis: int) -> Ints:
        """Order slices along the mean normal of their group, turned to where a patient coordinate grows."""
        normal = np.nan_to_num(np.cross(self.orientation[rows, :3], self.orientation[rows, 3:]))
        normal *= np.where(normal[:, [axis]] < 0, -1.0, 1.0)
        mean = np.zeros((int(group.max(initial=-1)) + 1, 3))
        np.add.at(mean, group, normal)  # its length does not matter
        mean[~mean.any(axis=1), axis] = 1
        place = (self.position[rows] * mean[group]).sum(axis=1)
        unknown = np.zeros(len(mean), dtype=bool)
        unknown[group[np.isnan(place)]] = True
        return rows[np.lexsort((self.instance[rows], np.where(unknown[group], 0.0, place), group))]

    def along_stacks(self) -> tuple[Ints, Ints, Ints]:
        """All rows, series after series, along each stack: the order of the rows, their keys in it, each row's key.

        Keys ascend. Within a series they differ as instance numbers do where these rise or fall along the stack, and
        else as places along it do.
        """
        series = np.repeat(np.arange(len(self.series)), np.diff(self.first))
        order = self.feet_to_head(np.arange(len(self)), series)
        number = self.instance[order]
        step, within = np.diff(number), np.diff(series) == 0
        turning = np.zeros((2, len(self.series)), dtype=bool)
        for turns, against in zip(turning, (step <= 0, step >= 0), strict=True):
            turns[series[1:][within & against]] = True
        rises, falls = ~turning[:, series]
        along = np.where(rises, number, np.where(falls, -number, np.arange(len(self)) - self.first[series]))
        keys = series * (4 * _STRIDE) + along
        return order, keys, keys[np.argsort(order)]

    def _common_size(self) -> Ints:
        sizes = pd.DataFrame(self.size, columns=["width", "height"]).assign(series=self.series_id)
        counts = sizes.value_counts().reset_index()
        ordered = counts.sort_values(["series", "count", "width", "height"], ascending=[True, False, True, True])
        return ordered.drop_duplicates("series")[["width", "height"]].to_numpy(np.int64)


def _positions(ascending: Ints, wanted: NDArray) -> Ints:
    """Positions of numbers in an ascending array; -1 for those that are not in it."""
    position = np.searchsorted(ascending, wanted)
    there = np.append(ascending, np.iinfo(np.int64).min)[position] == wanted
    return np.where(there, position, -1).astype(np.int64)


def load_slices(meta: pd.DataFrame, cache: Path, series: pd.DataFrame) -> SliceIndex:
    """Index the slices of some series that the cache really holds.

    Parameters
    ----------
    meta : DataFrame
        The metadata table.
    cache : Path
        The PNG cache.
    series : DataFrame
        `study_id` and `series_id` of the series wanted.

    Returns
    -------
    SliceIndex
        Slices that have both a metadata row and a PNG; how many have not is logged.

    Raises
    ------
    UserError
        If series are wanted but not one of their slices is there.
    """
    wanted = meta[meta["series_id"].isin(series["series_id"])]
    cached = [
        (series_id, instance)
        for study_id, series_id in zip(series["study_id"], series["series_id"], strict=True)
        for instance, _ in scan_pngs(cache / str(study_id) / str(series_id))
    ]
    keys = pd.MultiIndex.from_frame(wanted[SLICE])
    present = keys.isin(cached) if cached else np.zeros(len(wanted), dtype=bool)
    if len(series) and not present.any():
        raise UserError(
            f"{cache}: holds none of the {len(wanted)} slices that the metadata lists for {len(series)} series; "
            "make it with scripts/prepare.py"
        )
    if not present.all():
        _log.warning("%s: lacks %d of %d slices; they are left out", cache, (~present).sum(), len(wanted))
    return SliceIndex(wanted[present])


def tag_vectors(column: pd.Series, length: int) -> Floats:
    """Turn a column of tuples into an array (N, length); NaN where a tag is absent or has another number of values."""
    unknown = (np.nan,) * length
    values = [value if isinstance(value, tuple | list) and len(value) == length else unknown for value in column]
    return np.array(values, dtype=np.float64).reshape(-1, length)


def millimetres(offset: Floats, spacing: pd.Series) -> Floats:
    """Measure the length of offsets within slices.

    Parameters
    ----------
    offset : ndarray, shape (N, ..., 2)
        x, y, pixels.
    spacing : Series, length N
        PixelSpacing of each slice: between rows, between columns, mm.

    Returns
    -------
    ndarray, shape (N, ...)
        mm; NaN where the spacing is unknown.
    """
    columns_rows = tag_vectors(spacing, 2)[:, ::-1]
    return np.linalg.norm(offset * columns_rows.reshape(-1, *[1] * (offset.ndim - 2), 2), axis=-1)
