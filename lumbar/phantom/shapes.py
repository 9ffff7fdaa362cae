"""Signed distances of simple shapes, mm, negative inside; approximate away from the edge, right at it."""

from __future__ import annotations

import numpy as np

from lumbar.phantom.spine import Table


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
