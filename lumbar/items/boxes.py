"""Crop boxes: x0, y0, x1, y1 in pixels, ends excluded, many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDINGS: Final[dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]]] = {
    "outward": (np.floor, np.ceil),
    "nearest": (np.rint, np.rint),
    "towards zero": (np.trunc, np.trunc),
}
"""How the low and the high ends become whole pixels. The published datasets each use another."""


def square(centre: ArrayLike, half: ArrayLike) -> Floats:
    """Square boxes around centres.

    Parameters
    ----------
    centre : array_like, shape (..., 2)
        x, y, pixels.
    half : array_like, shape (...)
        Half side, pixels.

    Returns
    -------
    ndarray, shape (..., 4)
        Not rounded, not clipped.
    """
    middle = np.asarray(centre, dtype=np.float64)
    reach = np.asarray(half, dtype=np.float64)[..., None]
    return np.concatenate([middle - reach, middle + reach], axis=-1)


def to_pixels(box: Floats, size: ArrayLike, rounding: str) -> Ints:
    """Round boxes to whole pixels and clip them to their slices.

    Parameters
    ----------
    box : ndarray, shape (..., 4)
        As `square` makes them.
    size : array_like, shape (..., 2)
        Width and height of the slice, pixels.
    rounding : str
        A key of `ROUNDINGS`.

    Returns
    -------
    ndarray, shape (..., 4), int64
        At least one pixel wide and high, even if the box lies outside the slice.
    """
    low, high = ROUNDINGS[rounding]
    end = np.asarray(size, dtype=np.int64)
    start = np.clip(low(box[..., :2]).astype(np.int64), 0, end - 1)
    stop = np.clip(high(box[..., 2:]).astype(np.int64), start + 1, end)
    return np.concatenate([start, stop], axis=-1)


def scale(box: Floats, size: ArrayLike, to_size: ArrayLike) -> Floats:
    """Carry boxes to a slice of another size, pixels; unchanged where the sizes are equal.

    Parameters
    ----------
    box : ndarray, shape (..., 4)
        In a slice of `size` (..., 2): width and height.
    size, to_size : array_like, shape (..., 2)
        Width and height, pixels.
    """
    ratio = np.divide(to_size, size)
    return box * np.concatenate([ratio, ratio], axis=-1)


def relative_position(xy: Floats, box: NDArray) -> Floats:
    """Place points in their boxes: (0, 0) the upper left corner, (1, 1) the lower right; shape (..., 2)."""
    return (xy - box[..., :2]) / (box[..., 2:] - box[..., :2])
