"""The spine's curve, and the straight coordinates in which the whole anatomy is described.

Anatomy is written for a straight spine in three coordinates, and the curve bends it into the patient:

- ``s``: mm along the posterior wall of the vertebral bodies, 0 at the middle of L3, growing to the head;
- ``u``: mm to the patient's left of the spine's own mid-line (which scoliosis moves away from x = 0);
- ``v``: mm behind the posterior wall; bodies and discs are at negative, the canal at small positive v.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

Table = NDArray[np.floating]
"""An array of float32 (typed wider, because the type checker does not know that plain numbers keep it so)."""

STEP: Final = 0.125
"""Distance between the nodes of every table along the spine, mm."""

S_RANGE: Final = (-260.0, 260.0)
"""Part of the spine that is tabulated, mm; further points are treated as if at its ends."""

_GRID: Final = 2.0
_Y_RANGE: Final = (-170.0, 150.0)
_Z_RANGE: Final = (-230.0, 230.0)


def nodes() -> NDArray[np.float64]:
    """Positions s (mm) at which tables along the spine hold their values."""
    return np.arange(S_RANGE[0], S_RANGE[1] + STEP / 2, STEP)


def along(positions: ArrayLike, values: ArrayLike, local: bool = False) -> Table:
    """Tabulate a quantity at `nodes` from its values at some positions (s, mm, in any order).

    It is smooth and without overshoot between them, constant outside. A `local` one levels off at every given value,
    so that a value matters between its two neighbours only.
    """
    order = np.argsort(positions)
    s, value = np.asarray(positions, dtype=np.float64)[order], np.asarray(values, dtype=np.float64)[order]
    curve = CubicHermiteSpline(s, value, np.zeros_like(s)) if local else PchipInterpolator(s, value)
    return curve(np.clip(nodes(), s[0], s[-1])).astype(np.float32)


def index(s: ArrayLike) -> NDArray[np.int32]:
    """Index of the table node nearest to s (mm)."""
    scaled = (np.asarray(s, dtype=np.float32) - np.float32(S_RANGE[0] - STEP / 2)) * np.float32(1 / STEP)
    return np.clip(scaled, 0, (S_RANGE[1] - S_RANGE[0]) / STEP).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Spine:
    """A curve in the patient, and the conversion between patient mm and straight coordinates."""

    origin: NDArray[np.float64]  # the middle of L3's posterior wall, patient mm, shape (3,)
    angle: NDArray[np.float64]  # at each of `nodes`: lean in the sagittal plane, radians; positive leans back going up
    shift: NDArray[np.float64]  # at each of `nodes`: sideways distance of the mid-line from `origin`, mm (scoliosis)
    slip: NDArray[np.float64]  # at each of `nodes`: distance of the anatomy behind the curve, mm (negative: forward)

    @cached_property
    def _curve(self) -> NDArray[np.float64]:
        """Y and z of the curve at `nodes`, shape (N, 2)."""
        direction = np.stack([np.sin(self.angle), np.cos(self.angle)], axis=1)
        steps = 0.5 * STEP * (direction[1:] + direction[:-1])
        path = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        return path - path[index(0.0)] + self.origin[1:]

    @cached_property
    def _tilt(self) -> NDArray[np.float64]:
        """Sideways lean of the mid-line at `nodes`, mm per mm."""
        return np.gradient(self.shift, STEP)

    @cached_property
    def _tables(self) -> list[Table]:
        """What `to_straight` looks up at `nodes`: x of the mid-line, its tilt, the slip."""
        return [table.astype(np.float32) for table in (self.shift + self.origin[0], self._tilt, self.slip)]

    def midline(self, s: ArrayLike) -> NDArray[np.float64]:
        """Patient x of the spine's mid-line at s (mm)."""
        return np.interp(np.asarray(s, dtype=np.float64), nodes(), self.shift) + float(self.origin[0])

    def to_patient(self, s: ArrayLike, u: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
        """Straight coordinates (mm; broadcast together) to patient mm, shape (..., 3)."""
        s, u, v = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (s, u, v)))
        grid = nodes()
        x = u + self.midline(s)
        base = s.astype(np.float64)
        for _ in range(4):  # a slanted cross-section meets the curve elsewhere than at its own s
            base = s - np.interp(base, grid, self._tilt) * (x - self.midline(base))
        angle = np.interp(base, grid, self.angle)
        depth = v + np.interp(base, grid, self.slip)
        y, z = (np.interp(base, grid, self._curve[:, axis]) for axis in (0, 1))
        return np.stack([x, y + depth * np.cos(angle), z - depth * np.sin(angle)], axis=-1)

    @cached_property
    def _sagittal_map(self) -> NDArray[np.float32]:
        """S and v of the curve's sagittal projection on a grid over y and z, shape (rows z, columns y, 2)."""
        z, y = np.meshgrid(np.arange(*_Z_RANGE, _GRID), np.arange(*_Y_RANGE, _GRID), indexing="ij")
        coarse = self._curve[::64]
        squared = (y[..., None] - coarse[:, 0]) ** 2 + (z[..., None] - coarse[:, 1]) ** 2
        s = nodes()[::64][np.argmin(squared, axis=-1)]
        grid, curvature = nodes(), np.gradient(self.angle, STEP)

        def away(s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            """Distance of the grid's points from the curve's point at s: along the curve, and behind it."""
            angle = np.interp(s, grid, self.angle)
            away_y, away_z = (value - np.interp(s, grid, self._curve[:, a]) for a, value in enumerate((y, z)))
            return away_y * np.sin(angle) + away_z * np.cos(angle), away_y * np.cos(angle) - away_z * np.sin(angle)

        for _ in range(4):  # Newton steps to the foot of the perpendicular
            ahead, depth = away(s)
            s = s + ahead / np.maximum(1 - depth * np.interp(s, grid, curvature), 0.25)
        ahead, depth = away(s)
        return np.stack([s + ahead, depth], axis=-1).astype(np.float32)  # straight on beyond the ends

    def to_straight(self, x: Table, y: Table, z: Table) -> tuple[Table, Table, Table]:
        """Patient mm to straight coordinates, by a look-up that is right to about 0.03 mm near the spine.

        All are arrays of float32; x, y, z broadcast to the shape (N, rows, columns), which s, u, v have.
        """
        shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
        sheet = np.broadcast_shapes(y.shape, z.shape)  # all sub-planes share one sheet where y and z do not vary
        flat = (sheet[0] * sheet[1], sheet[2])
        columns = np.ascontiguousarray(np.broadcast_to((y - _Y_RANGE[0]) / _GRID, sheet), np.float32).reshape(flat)
        rows = np.ascontiguousarray(np.broadcast_to((z - _Z_RANGE[0]) / _GRID, sheet), np.float32).reshape(flat)
        found = cv2.remap(self._sagittal_map, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        base, v = found[..., 0].reshape(sheet), found[..., 1].reshape(sheet)
        at = index(base)
        midline, tilt, slip = self._tables
        s = base + tilt[at] * (x - midline[at])
        return s, np.broadcast_to(x - midline[index(s)], shape), np.broadcast_to(v - slip[at], shape)
