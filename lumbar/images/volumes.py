"""Slices as crops need them: one memory-mapped 8-bit volume per series, made from the PNG cache on first use.

A PNG has to be decoded whole, even for a crop of a tenth of it, in every epoch and by every worker. A volume is the
same pixels uncompressed in one file beside the PNGs: a crop reads only the lines that it needs, the operating system
shares the pages among workers and ranks, and no slice is decoded more than once in the life of the cache.

Layout of ``.volume``: the 8 bytes of `MAGIC`, the number of slices n as int64, n times `FIELDS` int64 fields
(instance number, height, width, offset of the first pixel in the file, size and modification time in ns of the PNG
that it came from), then the pixels, slice after slice, line by line. Slices of one series may differ in size. A PNG
that changed, came or went makes the volume stale, and it is made again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.cli import UserError
from lumbar.files import atomic_path

Pixels = NDArray[np.uint8]

MAGIC: Final = b"LUMBARv1"
FIELDS: Final = 6
NAME: Final = ".volume"
"""File name of a volume, in the folder of the series' PNGs."""

_log = logging.getLogger(__name__)


class SeriesVolume:
    """The slices of one series.

    Parameters
    ----------
    table : ndarray, shape (n, FIELDS), int64
        The header's fields, a slice each, by ascending instance number.
    content : ndarray, shape (bytes,), uint8
        The whole file, header included; memory-mapped or resident.
    """

    def __init__(self, table: NDArray[np.int64], content: Pixels) -> None:
        self._place = {instance: (height, width, offset) for instance, height, width, offset in table[:, :4].tolist()}
        self._content = content

    def crop(self, instance: int, box: tuple[int, int, int, int] | None = None) -> Pixels:
        """View a part of a slice; nothing else is read but what lies beside it in its lines.

        Parameters
        ----------
        instance : int
            Instance number of the slice.
        box : tuple of int, optional
            x0, y0, x1, y1 in pixels, ends excluded, inside the slice; default: the whole slice.

        Returns
        -------
        ndarray, shape (y1 - y0, x1 - x0), uint8
            Read-only.

        Raises
        ------
        KeyError
            If the series has no such slice.
        """
        height, width, offset = self._place[instance]
        x0, y0, x1, y1 = box or (0, 0, width, height)
        band = self._content[offset + y0 * width : offset + y1 * width]
        return band.reshape(y1 - y0, width)[:, x0:x1]


class VolumeStore:
    """The volumes of one PNG cache, opened on demand.

    Cheap to send to another process: open files are not sent along.

    Parameters
    ----------
    root : Path
        The cache, for example ``datamount/train_images_v01``.
    keep : int
        Volumes kept open by each process; each costs one file descriptor.
    """

    def __init__(self, root: Path, keep: int = 64) -> None:
        self.root = root
        self.keep = keep
        self._open = lru_cache(keep)(open_volume)

    def __reduce__(self) -> tuple[type[VolumeStore], tuple[Path, int]]:
        return VolumeStore, (self.root, self.keep)

    def series(self, study_id: int, series_id: int) -> SeriesVolume:
        """Open the volume of a series; on the first call ever, or when its PNGs changed, make it.

        Raises
        ------
        UserError
            If the series has no PNG in the cache or one that cannot be decoded.
        """
        return self._open(self.root / str(study_id) / str(series_id))


def resize(images: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
    """Resize slices (S, H, W) to (S, *size) with one of OpenCV's interpolations; an equal size changes nothing."""
    if images.shape[1:] == tuple(size):
        return images
    resized = np.empty((len(images), *size), dtype=np.uint8)
    for image, out in zip(images, resized, strict=True):
        cv2.resize(image, size[::-1], dst=out, interpolation=interpolation)
    return resized


def scan_pngs(folder: Path) -> Iterator[tuple[int, os.DirEntry[str]]]:
    """Find the cached slices of a series: instance number and directory entry of each ``<instance number>.png``.

    Other files are ignored; a folder that is not there has none.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, _, suffix = entry.name.partition(".")
                if suffix == "png" and stem.isdecimal():
                    yield int(stem), entry
    except (FileNotFoundError, NotADirectoryError):
        return


def read_png(path: Path) -> Pixels | None:
    """Read a grey picture (H, W); None if it is absent or damaged. OpenCV by itself does not open every name."""
    content = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    return None if image is None else np.asarray(image, np.uint8)


def open_volume(folder: Path) -> SeriesVolume:
    """Map the volume of a series, making it first when it is absent or stale.

    Any number of processes may do so at once: each writes another file and renames it over the others' equal one.
    Where the folder cannot be written to (read-only, disk full) the pixels stay in this process's memory.

    Raises
    ------
    UserError
        If there is no PNG, or one cannot be decoded.
    """
    stats = ((instance, entry.stat()) for instance, entry in scan_pngs(folder))
    pngs = np.array(sorted((instance, stat.st_size, stat.st_mtime_ns) for instance, stat in stats), dtype=np.int64)
    if not len(pngs):
        raise UserError(f"{folder}: no PNG of this series; make the cache with scripts/prepare.py")
    path = folder / NAME
    table = _read_header(path)
    if table is not None and np.array_equal(table[:, [0, 4, 5]], pngs):
        return SeriesVolume(table, np.memmap(path, np.uint8, "r"))
    table, content = _decode(folder, pngs)
    try:
        with atomic_path(path) as temporary:
            content.tofile(temporary)
    except OSError as error:
        _log.warning("%s: cannot be written (%s); its slices are kept in memory instead", path, error.strerror)
    return SeriesVolume(table, content)


def _read_header(path: Path) -> NDArray[np.int64] | None:
    """Read a volume's table; None when the file is absent or not a whole volume."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            count = int(np.fromfile(file, np.int64, 1)[0])
            table = np.fromfile(file, np.int64, count * FIELDS).reshape(count, FIELDS)
            end = int(table[-1, 1] * table[-1, 2] + table[-1, 3])
            return table if os.fstat(file.fileno()).st_size == end else None
    except (OSError, ValueError, IndexError):
        return None


def _decode(folder: Path, pngs: NDArray[np.int64]) -> tuple[NDArray[np.int64], Pixels]:
    """Decode a series' PNGs into the table and the bytes of its volume."""
    images = []
    for instance in pngs[:, 0]:
        image = read_png(folder / f"{instance}.png")
        if image is None:
            raise UserError(
                f"{folder / f'{instance}.png'}: not a PNG that can be decoded; delete it and run scripts/prepare.py"
            )
        images.append(image)
    shapes = np.array([image.shape for image in images], dtype=np.int64)
    start = len(MAGIC) + 8 + 8 * FIELDS * len(images)
    offsets = start + np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]])
    table = np.column_stack([pngs[:, 0], shapes, offsets, pngs[:, 1:]]).astype(np.int64)
    header = np.concatenate([np.frombuffer(MAGIC, np.uint8), np.array([len(images)]).view(np.uint8),
                             np.ascontiguousarray(table).view(np.uint8).ravel()])  # fmt: skip
    return table, np.concatenate([header, *(image.ravel() for image in images)])
