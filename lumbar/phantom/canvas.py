"""A slice of some thickness as a canvas: where its pixels lie in the anatomy, and soft-edged painting of shapes.

Shapes are signed distances (negative inside, mm). Their edges are one pixel soft, so that thin structures and edges
come out as partial volumes without drawing at a finer resolution. Each shape is only evaluated in the rectangle of
pixels that can hold it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lumbar.images.geometry import SlicePlane
from lumbar.phantom.patient import Patient
from lumbar.phantom.spine import Table, index
from lumbar.phantom.tissue import Signal

Interval = tuple[float, float]

COARSE: Final = 8
"""Every how many pixels the rectangles are searched."""


Texture = Literal["grain", "streak", "blob"]
Triple = tuple[float, float, float]

VOLUMES: Final[dict[Texture, tuple[tuple[int, int, int], Triple, Triple]]] = {
    "grain": ((64, 64, 64), (0.9, 0.9, 0.9), (0.9, 0.9, 0.9)),
    "streak": ((128, 128, 64), (0.6, 0.6, 2.0), (2.6, 2.6, 5.0)),
    "blob": ((64, 64, 64), (2.0, 2.0, 2.0), (3.2, 3.2, 3.2)),
}
"""Periodic noise that gives tissues their unevenness: voxels along each side (powers of 2), size of a voxel (mm),
standard deviation of the blur that makes the noise smooth (voxels). Streaks run along the third axis."""


@cache
def _volume(texture: Texture) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and standard deviation 1, the same in every process, flattened."""
    shape, _, smoothness = VOLUMES[texture]
    rng = np.random.default_rng([64, list(VOLUMES).index(texture)])
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), smoothness, mode="wrap")
    return ((noise - noise.mean()) / noise.std()).astype(np.float32).ravel()


def look(texture: Texture, axes: Sequence[Table], offset: NDArray[np.int64]) -> Table:
    """Look a texture up at points (x, y, z in mm, broadcastable; nearest voxel).

    The patient starts `offset` voxels into the volume, shape (3,).
    """
    shape, voxels, _ = VOLUMES[texture]
    i, j, k = (
        (axis * np.float32(1 / voxel) + np.float32(start + 4096)).astype(np.int32) & (side - 1)  # 4096: positive
        for axis, voxel, start, side in zip(axes, voxels, offset, shape, strict=True)
    )
    return _volume(texture)[(i * shape[1] + j) * shape[2] + k]


def _coordinates(
    plane: SlicePlane, rows: NDArray[np.float32], cols: NDArray[np.float32], offsets: Table
) -> list[Table]:
    """x, y, z of pixels, each with only the axes (sub-plane, row, column) along which it varies."""
    result = []
    for axis in range(3):
        value = np.full((1, 1, 1), plane.origin[axis], dtype=np.float32)
        for step, places in (
            (plane.normal[axis], offsets[:, None, None]),
            (plane.col_dir[axis] * plane.row_spacing, rows[:, None]),
            (plane.row_dir[axis] * plane.col_spacing, cols[None, :]),
        ):
            if abs(step) > 1e-6:
                value = value + places * np.float32(step)
        result.append(value)
    return result


def _cut(values: NDArray[Any], rows: slice, cols: slice) -> NDArray[Any]:
    """Cut a rectangle out of an array that may not vary along rows or columns."""
    return values[:, rows if values.shape[1] > 1 else slice(None), cols if values.shape[2] > 1 else slice(None)]


@dataclass(frozen=True, eq=False)
class Window:
    """A rectangle of a canvas: coordinates to compute distances from, and painting.

    ``s``, ``u``, ``v`` are straight coordinates (`lumbar.phantom.spine`), ``x``, ``y``, ``z`` patient's, mm.
    """

    canvas: Canvas
    rows: slice
    cols: slice
    s: Table
    u: Table
    v: Table

    @cached_property
    def side(self) -> Table:
        """Distance from the mid-line, |u|."""
        return np.abs(self.u)

    def xyz(self) -> tuple[Table, Table, Table]:
        """Patient coordinates."""
        x, y, z = (self.crop(axis) for axis in self.canvas.axes)
        return x, y, z

    def crop(self, values: Table) -> Table:
        """Cut this rectangle out of an array of the whole canvas."""
        return _cut(values, self.rows, self.cols)

    def at(self, table: Table) -> Table:
        """Value of a table along the spine at each point."""
        return table[_cut(self.canvas.node, self.rows, self.cols)]

    def texture(self, texture: Texture) -> Table:
        """Noise in patient coordinates, mean 0, standard deviation 1."""
        return look(texture, self.xyz(), self.canvas.patient.build.texture)

    def cover(self, distance: Table) -> Table:
        """Share of each pixel inside a shape (0 to 1)."""
        share = distance * (-1 / self.canvas.softness)
        share += 0.5
        return np.clip(share, 0, 1, out=share)

    def paint(self, distance: Table, tissue: str | Signal, gain: Table | None = None) -> None:
        """Paint a shape, given the signed distance from it (mm), with a tissue, by name or by a mixture's signal.

        The gain is the brightness relative to the tissue's, per point.
        """
        self.blend(self.cover(distance), tissue, gain)

    def blend(self, share: Table, tissue: str | Signal, gain: Table | None = None) -> None:
        """Paint a tissue with a given share (0 to 1) per point; other parameters as `paint`."""
        signal = self.canvas.signals[tissue] if isinstance(tissue, str) else tissue
        picture = self.canvas.picture[:, :, self.rows, self.cols]
        change = (signal if gain is None else signal * gain) - picture
        change *= share
        picture += change


class Canvas:
    """A rectangle of a slice, as some parallel sub-planes through the slice's thickness.

    Parameters
    ----------
    patient : Patient
        What is drawn.
    plane : SlicePlane
        The slice's middle plane.
    picture : ndarray of float32, shape (channels, sub-planes, rows, columns)
        What is painted on.
    thickness : float
        Distance over which the sub-planes spread, mm.
    signals : mapping of str to ndarray, shape (channels, 1, 1, 1)
        Brightness of each tissue.
    """

    def __init__(
        self, patient: Patient, plane: SlicePlane, picture: Table, thickness: float, signals: Mapping[str, Signal]
    ) -> None:
        self.patient, self.plane, self.picture, self.signals = patient, plane, picture, signals
        _, layers, rows, cols = picture.shape
        offsets = (thickness * ((np.arange(layers) + 0.5) / layers - 0.5)).astype(np.float32)
        self.axes = _coordinates(plane, np.arange(rows, dtype=np.float32), np.arange(cols, dtype=np.float32), offsets)
        self.s, self.u, self.v = patient.spine.to_straight(*self.axes)
        self.node = index(self.s)
        self.softness = 0.5 * (plane.row_spacing + plane.col_spacing)
        middle = np.s_[layers // 2, min(COARSE // 2, rows - 1) :: COARSE, min(COARSE // 2, cols - 1) :: COARSE]
        self._coarse = [np.broadcast_to(axis, picture.shape[1:])[middle] for axis in (self.s, self.u, self.v)]
        self._reach = 0.75 * COARSE * float(np.hypot(plane.row_spacing, plane.col_spacing)) + 0.5 * thickness
        self._limits = [(float(axis.min()), float(axis.max())) for axis in self._coarse]

    def thick(self, window: Window, layers: int, thickness: float) -> Canvas:
        """Start a canvas of several sub-planes on a rectangle of this one, from what is painted here."""
        picture = np.repeat(self.picture[:, :, window.rows, window.cols], layers, axis=1)
        origin = self.plane.to_patient((window.cols.start, window.rows.start))
        return Canvas(self.patient, replace(self.plane, origin=origin), picture, thickness, self.signals)

    @cached_property
    def blobs(self) -> Table:
        """Texture of large blobs, the same on all sub-planes, shape (1, rows, columns)."""
        rows, cols = self.picture.shape[2:]
        every = [slice(min(1, size - 1), None, COARSE // 2) for size in (rows, cols)]
        axes = [_cut(axis, *every)[axis.shape[0] // 2] for axis in self.axes]
        found = look("blob", axes, self.patient.build.texture)
        return np.asarray(cv2.resize(found, (cols, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)[None]

    def everywhere(self) -> Window:
        """Give the whole rectangle as a window."""
        return self._window(slice(None), slice(None))

    def window(self, s: Interval, u: Interval, v: Interval) -> Window | None:
        """Smallest rectangle that holds a box of straight coordinates; None if the canvas misses the box."""
        reach = self._reach
        for (low, high), (least, most) in zip((s, u, v), self._limits, strict=True):
            if low - reach > most or high + reach < least:
                return None
        hit = np.ones(self._coarse[0].shape, dtype=bool)
        for values, (low, high) in zip(self._coarse, (s, u, v), strict=True):
            hit &= (values > low - reach) & (values < high + reach)
        rows, cols = np.flatnonzero(hit.any(axis=1)), np.flatnonzero(hit.any(axis=0))
        if not len(rows):
            return None
        extents = []
        for axis, found in enumerate((rows, cols)):
            size: int = self.picture.shape[2 + axis]
            last = int(found[-1]) + 1
            extents.append(slice(int(found[0]) * COARSE, size if last == hit.shape[axis] else last * COARSE))
        return self._window(*extents)

    def _window(self, rows: slice, cols: slice) -> Window:
        return Window(self, rows, cols, *(_cut(axis, rows, cols) for axis in (self.s, self.u, self.v)))
