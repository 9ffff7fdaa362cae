"""Signed distances of simple shapes, mm, negative inside; approximate away from the edge, right at it."""

from __future__ import annotations

import numpy as np

from lumbar.phantom.spine import Table


def ellipse(a: Table, b: Table, radius_a: float | Table, radius_b: float | Table) -> Table:
    """Ellipse (or elliptic cylinder) around 0 with given half-axes along two coordinates."""
    radius = np.hypot(a / radius_a, b / radius_b)
    radius -= 1
    radius *= np.minimum(radius_a, radius_b)
    return radius


def ellipsoid(a: Table, b: Table, c: Table, radii: tuple[float, float, float]) -> Table:
    """Ellipsoid around 0 with given half-axes along three coordinates."""
    radius = np.sqrt(np.square(a / radii[0]) + np.square(b / radii[1]) + np.square(c / radii[2]))
    radius -= 1
    radius *= min(radii)
    return radius


def segment(a: Table, b: Table, start: tuple[float, float], end: tuple[float, float]) -> Table:
    """Distance from a line segment in the plane of two coordinates."""
    da, db = end[0] - start[0], end[1] - start[1]
    share = (a - start[0]) * np.float32(da) + (b - start[1]) * np.float32(db)
    share *= np.float32(1 / (da * da + db * db))
    np.clip(share, 0, 1, out=share)
    return np.hypot(a - start[0] - share * np.float32(da), b - start[1] - share * np.float32(db))


def slab(a: Table, low: float, high: float) -> Table:
    """Everything between two values of a coordinate."""
    return np.abs(a - np.float32(0.5 * (low + high))) - np.float32(0.5 * (high - low))
