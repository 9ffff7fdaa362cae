"""Pixels of a slice and patient millimetres: the one place where the two meet.

Patient coordinates are DICOM LPS in mm: x grows to the patient's left, y to posterior, z to the head. Pixel
coordinates are (x, y) = (column, row) of the original slice, (0, 0) at the *centre* of the first pixel, as DICOM's
Image Plane Module defines it (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

FARTHEST = 1e6
"""Greatest coordinate and spacing that is believed, mm: a kilometre."""

_RIGHT = 0.02
"""Most that the products of two directions may differ from those of unit vectors at right angles."""


@dataclass(frozen=True)
class SlicePlane:
    """Where the pixels of one slice lie in the patient.

    Parameters
    ----------
    origin : ndarray, shape (3,)
        ImagePositionPatient: centre of pixel (0, 0), mm.
    row_dir : ndarray, shape (3,)
        Unit vector along a row (the direction in which x grows) = ImageOrientationPatient[:3].
    col_dir : ndarray, shape (3,)
        Unit vector down a column (the direction in which y grows) = ImageOrientationPatient[3:].
    row_spacing : float
        Distance between rows, mm = PixelSpacing[0].
    col_spacing : float
        Distance between columns, mm = PixelSpacing[1].
    """

    origin: Vector
    row_dir: Vector
    col_dir: Vector
    row_spacing: float
    col_spacing: float

    @classmethod
    def from_tags(cls, position: ArrayLike, orientation: ArrayLike, spacing: ArrayLike) -> Self:
        """Build the plane from three DICOM tags.

        Parameters
        ----------
        position : array_like, shape (3,)
            ImagePositionPatient, mm.
        orientation : array_like, shape (6,)
            ImageOrientationPatient: row direction, column direction.
        spacing : array_like, shape (2,)
            PixelSpacing: between rows, between columns, mm.

        Raises
        ------
        ValueError
            If a tag has another number of values, is not finite, or a spacing is not positive.
        """
        parts = []
        for name, value, size in (
            ("ImagePositionPatient", position, 3),
            ("ImageOrientationPatient", orientation, 6),
            ("PixelSpacing", spacing, 2),
        ):
            array = np.asarray(value, dtype=np.float64)
            if array.shape != (size,) or not np.isfinite(array).all():
                raise ValueError(f"{name} must hold {size} finite numbers, got {value!r}")
            parts.append(array)
        origin, axes, (row_spacing, col_spacing) = parts
        if row_spacing <= 0 or col_spacing <= 0:
            raise ValueError(f"PixelSpacing must be positive, got {spacing!r}")
        return cls(origin, axes[:3], axes[3:], float(row_spacing), float(col_spacing))

    @property
    def normal(self) -> Vector:
        """Unit vector perpendicular to the slice (row direction x column direction)."""
        return np.cross(self.row_dir, self.col_dir)

    def to_patient(self, xy: ArrayLike) -> Vector:
        """Pixel positions to patient mm.

        Parameters
        ----------
        xy : array_like, shape (..., 2)
            x (column) and y (row), pixels.

        Returns
        -------
        ndarray, shape (..., 3)
            Patient coordinates, mm.
        """
        orientation = np.concatenate([self.row_dir, self.col_dir])
        return to_patient(np.asarray(xy), self.origin, orientation, np.array([self.row_spacing, self.col_spacing]))

    def to_pixels(self, points: ArrayLike) -> Vector:
        """Patient mm to pixels; a point off the plane is projected along the normal.

        Parameters
        ----------
        points : array_like, shape (..., 3)
            Patient coordinates, mm.

        Returns
        -------
        ndarray, shape (..., 2)
            x (column) and y (row), pixels, not rounded.
        """
        offset = np.asarray(points, dtype=np.float64) - self.origin
        return np.stack([offset @ self.row_dir / self.col_spacing, offset @ self.col_dir / self.row_spacing], axis=-1)

    def distance(self, points: ArrayLike) -> Vector:
        """Signed distance of points from the plane along its normal.

        Parameters
        ----------
        points : array_like, shape (..., 3)
            Patient coordinates, mm.

        Returns
        -------
        ndarray, shape (...)
            mm, positive on the side that the normal points to.
        """
        return (np.asarray(points, dtype=np.float64) - self.origin) @ self.normal


def to_patient(xy: NDArray, position: Vector, orientation: Vector, spacing: Vector) -> Vector:
    """Turn pixel positions, on one slice or each on its own, into patient mm.

    Parameters
    ----------
    xy : ndarray, shape (..., 2)
        x (column) and y (row), pixels.
    position, orientation, spacing : ndarray, shapes (..., 3), (..., 6), (..., 2)
        ImagePositionPatient, ImageOrientationPatient and PixelSpacing (between rows, between columns) of the slices.

    Returns
    -------
    ndarray, shape (..., 3)
        Patient coordinates, mm; NaN where the slice lacks a tag.
    """
    along_row, along_column = orientation[..., :3], orientation[..., 3:]
    return position + xy[..., :1] * spacing[..., 1:] * along_row + xy[..., 1:] * spacing[..., :1] * along_column


def are_directions(orientation: ArrayLike) -> NDArray[np.bool_]:
    """Tell whether orientations are what they must be: two unit vectors at right angles, to a hundredth.

    Parameters
    ----------
    orientation : array_like, shape (..., 6)
        ImageOrientationPatient; with NaN in it it is none.

    Returns
    -------
    ndarray, shape (...)
        Whether they can be used.
    """
    pair = np.asarray(orientation, dtype=np.float64)
    pair = pair.reshape(*pair.shape[:-1], 2, 3)
    product = np.nan_to_num(pair @ np.swapaxes(pair, -1, -2), posinf=0, neginf=0)
    return np.asarray((np.abs(product - np.eye(2)) < _RIGHT).all(axis=(-1, -2)))


def orientation_name(orientation: ArrayLike) -> str:
    """Name the anatomical plane whose normal is nearest to the slice's.

    Parameters
    ----------
    orientation : array_like, shape (6,)
        ImageOrientationPatient.

    Returns
    -------
    str
        ``"sagittal"``, ``"coronal"`` or ``"axial"``.
    """
    axes = np.asarray(orientation, dtype=np.float64)
    normal = np.abs(np.cross(axes[:3], axes[3:]))
    return ("sagittal", "coronal", "axial")[int(np.argmax(normal))]
