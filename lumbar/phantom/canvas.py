"""A slice of some thickness as a canvas: where its pixels lie in the anatomy, and soft-edged painting of shapes.

Shapes are signed distances (mm, negative inside; right at the edge, approximate away from it). Their edges are one
pixel soft, so that thin structures and edges come out as partial volumes without drawing at a finer resolution. Each
shape is only evaluated in the rectangle of pixels that can hold it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Canvas:
    """A rectangle of a slice, as some parallel sub-planes through the slice's thickness: coordinates, and painting.

    Arrays are float32 of shape (sub-planes, rows, columns), 1 where they do not vary.
    """

    patient: Patient  # what is drawn
    signals: Mapping[str, Signal]  # brightness of each tissue, shape (channels, 1, 1, 1)
    plane: SlicePlane  # the slice's middle plane
    thickness: float  # distance over which the sub-planes spread, mm
    corner: tuple[int, int]  # column and row of the rectangle's first pixel in the slice
    picture: Table  # what is painted on, shape (channels, sub-planes, rows, columns)
    x: Table  # patient coordinates, mm
    y: Table
    z: Table
    s: Table  # straight coordinates (`lumbar.phantom.spine`), mm
    u: Table
    v: Table
    node: NDArray[np.int32]  # index into tables along the spine
    blobs: Table  # texture of large blobs, the same on all sub-planes

    @staticmethod
    def over(
        patient: Patient, plane: SlicePlane, picture: Table, thickness: float, signals: Mapping[str, Signal]
    ) -> Canvas:
        """Lay a canvas over a picture of shape (channels, sub-planes, rows, columns) that shows a slice."""
        _, layers, rows, cols = picture.shape
        steps = (
            (plane.normal, (thickness * ((np.arange(layers) + 0.5) / layers - 0.5)).reshape(-1, 1, 1)),
            (plane.col_dir * plane.row_spacing, np.arange(rows).reshape(-1, 1)),
            (plane.row_dir * plane.col_spacing, np.arange(cols)),
        )
        axes = []
        for axis in range(3):
            value = np.full((1, 1, 1), plane.origin[axis], dtype=np.float32)
            for step, places in steps:
                if abs(step[axis]) > 1e-6:
                    value = value + places.astype(np.float32) * np.float32(step[axis])
            axes.append(value)
        every = [slice(min(1, size - 1), None, COARSE // 2) for size in (rows, cols)]
        coarse = look("blob", [_cut(axis, *every)[axis.shape[0] // 2] for axis in axes], patient.build.texture)
        blobs = np.asarray(cv2.resize(coarse, (cols, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)[None]
        x, y, z = axes
        s, u, v = patient.spine.to_straight(x, y, z)
        return Canvas(patient, signals, plane, thickness, (0, 0), picture, x, y, z, s, u, v, index(s), blobs)

    @cached_property
    def _coarse(self) -> list[Table]:
        """Every few pixels of s, u and v on the middle sub-plane, shape (rows, columns)."""
        _, layers, *size = self.picture.shape
        rows, cols = (slice(min(COARSE // 2, side - 1), None, COARSE) for side in size)
        shape = self.picture.shape[1:]
        return [np.broadcast_to(axis, shape)[layers // 2, rows, cols].copy() for axis in (self.s, self.u, self.v)]

    def window(self, s: Interval, u: Interval, v: Interval) -> Canvas | None:
        """Smallest part that holds a box of straight coordinates; None if the canvas misses the box."""
        reach = 0.75 * COARSE * math.hypot(self.plane.row_spacing, self.plane.col_spacing) + 0.5 * self.thickness
        hit = np.ones((), dtype=bool)
        for values, (low, high) in zip(self._coarse, (s, u, v), strict=True):
            hit = hit & (values > low - reach) & (values < high + reach)
            if not hit.any():
                return None
        extent = []
        for axis, size in enumerate(self.picture.shape[2:]):
            found = np.flatnonzero(hit.any(axis=1 - axis))
            last = int(found[-1]) + 1
            extent.append(slice(int(found[0]) * COARSE, size if last == hit.shape[axis] else last * COARSE))
        rows, cols = extent
        arrays = (self.x, self.y, self.z, self.s, self.u, self.v, self.node, self.blobs)
        parts = [_cut(array, rows, cols) for array in arrays]
        picture, corner = self.picture[:, :, rows, cols], (cols.start, rows.start)
        return Canvas(self.patient, self.signals, self.plane, self.thickness, corner, picture, *parts)

    @cached_property
    def side(self) -> Table:
        """Distance from the mid-line, |u|."""
        return np.abs(self.u)

    def at(self, table: Table) -> Table:
        """Value of a table along the spine at each point."""
        return table[self.node]

    def texture(self, texture: Texture) -> Table:
        """Noise in patient coordinates, mean 0, standard deviation 1."""
        return look(texture, (self.x, self.y, self.z), self.patient.build.texture)

    def mix(self, first: str, second: str, share: float) -> Signal:
        """Signal of a mixture: `share` of the second tissue."""
        return (1 - share) * self.signals[first] + share * self.signals[second]

    def cover(self, distance: Table) -> Table:
        """Share of each pixel inside a shape (0 to 1), given the signed distance from it (mm)."""
        share = distance * (-2 / (self.plane.row_spacing + self.plane.col_spacing))
        share += 0.5
        return np.clip(share, 0, 1, out=share)

    def paint(self, distance: Table, tissue: str | Signal, gain: Table | None = None) -> None:
        """Paint a shape, given the signed distance from it (mm), with a tissue, by name or by a mixture's signal.

        The gain is the brightness relative to the tissue's, per point.
        """
        self.blend(self.cover(distance), tissue, gain)

    def blend(self, share: Table, tissue: str | Signal, gain: Table | None = None) -> None:
        """Paint a tissue with a given share (0 to 1) per point; other parameters as `paint`."""
        signal = self.signals[tissue] if isinstance(tissue, str) else tissue
        change = (signal if gain is None else signal * gain) - self.picture
        change *= share
        np.add(self.picture, change, out=self.picture)


def _cut(values: NDArray[Any], rows: slice, cols: slice) -> NDArray[Any]:
    """Cut a rectangle out of an array that may not vary along rows or columns."""
    return values[:, rows if values.shape[1] > 1 else slice(None), cols if values.shape[2] > 1 else slice(None)]


def length(a: Table, b: Table) -> Table:
    """Square root of the sum of squares (faster than numpy.hypot, which guards against overflow)."""
    squared = a * a + b * b
    return np.sqrt(squared, out=squared)


def ellipse(a: Table, b: Table, radius_a: float | Table, radius_b: float | Table) -> Table:
    """Ellipse (or elliptic cylinder) around 0 with given half-axes along two coordinates."""
    radius = length(a * (1 / radius_a), b * (1 / radius_b))
    radius -= 1
    if isinstance(radius_a, float) and isinstance(radius_b, float):
        radius *= min(radius_a, radius_b)
    else:
        radius *= np.minimum(radius_a, radius_b)
    return radius


def ellipsoid(a: Table, b: Table, c: Table, radii: tuple[float, float, float]) -> Table:
    """Ellipsoid around 0 with given half-axes along three coordinates."""
    radius = np.square(a * (1 / radii[0])) + np.square(b * (1 / radii[1])) + np.square(c * (1 / radii[2]))
    np.sqrt(radius, out=radius)
    radius -= 1
    radius *= min(radii)
    return radius


def segment(a: Table, b: Table, start: tuple[float, float], end: tuple[float, float]) -> Table:
    """Distance from a line segment in the plane of two coordinates."""
    da, db = end[0] - start[0], end[1] - start[1]
    share = (a - start[0]) * da + (b - start[1]) * db
    share *= 1 / (da * da + db * db)
    np.clip(share, 0, 1, out=share)
    return length(a - start[0] - share * da, b - start[1] - share * db)


def slab(a: Table, low: float, high: float) -> Table:
    """Everything between two values of a coordinate."""
    return np.abs(a - 0.5 * (low + high)) - 0.5 * (high - low)
