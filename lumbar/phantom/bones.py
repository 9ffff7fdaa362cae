"""Discs, vertebral bodies, pedicles and posterior elements."""

from __future__ import annotations

import numpy as np

from lumbar.phantom.canvas import Canvas
from lumbar.phantom.spine import Table
from lumbar.phantom.vertebra import Disc, Vertebra


def outline(bone: Vertebra, side: Table, v: Table) -> Table:
    """Distance from a body's outline as seen from above: an ellipse in front, boxier and hollow behind."""
    across = np.square(side * np.float32(2 / bone.width))
    along = np.square((v + bone.hollow_back(side).astype(np.float32) - bone.middle) * np.float32(2 / bone.depth))
    back = np.sqrt(across * across + along * along)
    radius = np.sqrt(np.where(v > bone.middle, back, across + along))
    return (radius - 1) * np.float32(0.5 * bone.depth)


def paint_disc(canvas: Canvas, upper: Vertebra, lower: Vertebra, disc: Disc) -> None:
    """Paint a disc; the bodies' ends are painted over it."""
    reach = 0.5 * disc.height + 5
    half = 0.5 * lower.width + 3
    window = canvas.window((disc.s - reach, disc.s + reach), (-half, half), (-lower.depth - 4, 6))
    if window is None:
        return
    rim = outline(lower, window.side, window.v - np.float32(disc.bulge) * (window.v > lower.middle))
    inside = np.maximum(rim, np.abs(window.s - disc.s) - reach)
    window.paint(inside, "annulus")
    window.paint(np.maximum(rim + 6, np.abs(window.s - disc.s) - 0.35 * disc.height), "nucleus")


def paint_body(canvas: Canvas, bone: Vertebra) -> None:
    """Paint a vertebral body: cortical shell and marrow."""
    half = 0.5 * bone.width + 2
    reach = 0.5 * bone.height + 3
    window = canvas.window((bone.s - reach, bone.s + reach), (-half, half), (-bone.depth - 2, 3))
    if window is None:
        return
    rim = outline(bone, window.side, window.v)
    ends = np.abs(window.s - bone.s) - bone.half_height(window.v).astype(np.float32)
    shell = np.maximum(rim, ends)
    window.paint(shell, "cortical")
    window.paint(shell + 0.9, "marrow", 1 + 0.05 * window.texture("grain"))
