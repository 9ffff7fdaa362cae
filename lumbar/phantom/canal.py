"""The canal and its exits: epidural fat, ligaments, dural sac, cord and roots, lateral recesses, foramina."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import LEVELS
from lumbar.phantom.canvas import Canvas, ellipse, length, segment, slab
from lumbar.phantom.patient import FORAMEN_RISE, FORAMEN_V, RECESS_V, SIGNS

ROOTS: Final = 26
"""Nerve roots drawn in a cross-section of the sac (L2 to S5, both sides, motor and sensory partly merged)."""

ROOTS_GONE: Final = (20, 16, 11, 6, 0)
"""How many have left the sac below L5, above it, above L4, above L3, above L2."""

_CELLS: Final = 96


@cache
def _root_map() -> NDArray[np.float32]:
    """Distance to the nearest nerve root on cross-sections of a round sac of radius 1.

    Shape (places along the spine, v, u); roots lie in the back, in two wings, as they do in a patient on the back.
    """
    rng = np.random.default_rng(2024)
    angle = np.linspace(0.0, np.pi, ROOTS) + rng.normal(0, 0.1, ROOTS)
    radius = np.where(np.arange(ROOTS) % 2, 0.84, 0.55) + rng.normal(0, 0.05, ROOTS)
    leaves = np.argsort(np.argsort(-np.abs(angle - np.pi / 2)))  # the outermost leave first
    grid = np.linspace(-1, 1, _CELLS)
    v, u = np.meshgrid(grid, grid, indexing="ij")
    away = np.hypot(u[..., None] - radius * np.cos(angle), v[..., None] - radius * np.sin(angle))
    return np.array([away[..., leaves >= gone].min(axis=-1) for gone in ROOTS_GONE], dtype=np.float32)


def paint_canal(canvas: Canvas) -> None:
    """Paint the canal's inside around the sac: fat, and at each disc the ligaments that fill what the sac leaves."""
    patient = canvas.patient
    low, high = patient.vertebrae[-1].s, patient.vertebrae[0].s
    window = canvas.window((low, high), (-18, 18), (-2, 27))
    if window is None:
        return
    width = window.at(patient.canal["half_width"])
    depth = window.at(patient.canal["half_depth"])
    back = (window.v - depth) / depth
    # Narrower towards the back; far behind the canal the factor would reach 0.
    inside = ellipse(window.u / np.maximum(1 - 0.25 * back, 0.1), depth * back, width, depth)
    window.paint(inside, window.mix("fat", "vein", 0.7))
    filled = window.at(patient.canal["ligament"])
    if not filled.max() > 0.01:
        return
    wall = ellipse(window.u / np.maximum(1 - 0.3 * back, 0.1), depth * back, width + 1, depth + 1)
    window.blend(window.cover(wall) * filled, "ligament")
    pad = np.maximum(slab(window.v, 14, 20.5), window.side - (3.6 - 0.35 * (window.v - 14)))
    window.blend(window.cover(pad) * filled, "fat")


def paint_foramina(canvas: Canvas) -> None:
    """Paint each side's foramen: tissue that closes it, a keyhole of fat of the grade's size, the root in the fat."""
    patient = canvas.patient
    for upper, disc in zip(patient.vertebrae, patient.discs, strict=False):
        if upper.sacral:
            continue
        inner, outer = 0.5 * upper.canal_width - 1.0, upper.pedicle_u + 0.5 * upper.pedicle_width + 1.0
        for number, sign in enumerate(SIGNS):
            reach = sorted((sign * inner, sign * (outer + 6)))
            window = canvas.window((disc.s - 8, disc.s + 22), (reach[0], reach[1]), (-3, 14))
            if window is None:
                continue
            side = window.u * sign
            height = window.s - (disc.s + FORAMEN_RISE)
            lateral = np.maximum(side - upper.pedicle_u, 0)
            depth = window.v - FORAMEN_V + 0.3 * lateral  # the way out leads forwards
            half_height = 0.5 * disc.foramen_height[number]
            half_width = 0.5 * disc.foramen_width[number]
            up = height / half_height
            key = np.clip(0.85 + 0.25 * up, 0.5, 1.1)
            closed = np.maximum(slab(depth, -6, 6.5), slab(height, -13, 13)) + 0.05 * lateral * lateral
            window.paint(np.maximum(closed, slab(side, inner, outer)), "annulus")
            opening = (length(depth / (half_width * key), up) - 1) * half_width
            opening += np.square(np.clip(side - (outer - 4), 0, None)) * 0.1
            window.paint(np.maximum(opening, slab(side, inner - 1, outer + 3)), "fat")
            root = ellipse(
                height - 0.28 * half_height + 0.4 * (side - upper.pedicle_u),
                depth,
                min(3.3, 0.42 * float(half_height)),
                min(2.6, 0.68 * half_width),
            )
            window.paint(np.maximum(root, slab(side, inner - 2, outer + 3)), "ganglion")


def paint_recesses(canvas: Canvas) -> None:
    """Paint each lateral recess: a pocket of fat beside the sac as high as the grade leaves it, its root inside."""
    patient = canvas.patient
    for level in LEVELS:
        _, disc, lower = patient.at_level(level)
        middle = lower.recess_u
        window = canvas.window((disc.s - 9, disc.s + 9), (-middle - 8, middle + 8), (-2, 12))
        if window is None:
            continue
        for number, sign in enumerate(SIGNS):
            half = 0.5 * disc.recess_height[number]
            side = window.u * sign - middle
            depth, height = window.v - RECESS_V, window.s - disc.s
            pocket = np.maximum(ellipse(side, depth, 4.6, half), slab(height, -7.5, 7.5))
            window.paint(pocket, "fat")
            root = ellipse(side + 1.0, depth + 0.25 * half, min(1.7, 1.2 * half), min(1.7, 0.6 * half))
            window.paint(np.maximum(root, slab(height, -7.5, 7.5)), "root")


def paint_traversing_roots(canvas: Canvas) -> None:
    """Paint each root on its way from the sac, along the recess, to the foramen below its pedicle."""
    patient = canvas.patient
    for at in range(len(patient.discs) - 1):
        bone, disc, below = patient.vertebrae[at + 1], patient.discs[at], patient.discs[at + 1]
        if bone.sacral:
            continue
        start, bend = (disc.s - 5, bone.recess_u - 2), (below.s + FORAMEN_RISE + 11, 0.5 * bone.canal_width - 2)
        end = (below.s + FORAMEN_RISE + 3, bone.pedicle_u - 2)
        window = canvas.window((end[0] - 3, start[0] + 3), (-end[1] - 3, end[1] + 3), (0, 10))
        if window is not None:
            path = np.minimum(segment(window.s, window.side, start, bend), segment(window.s, window.side, bend, end))
            window.paint(length(path, window.v - 4.5) - 1.7, "root")


def paint_sac(canvas: Canvas) -> None:
    """Paint the dural sac: dura, CSF, the cord down to its cone, the roots of the cauda equina."""
    patient = canvas.patient
    low, high = patient.sac_end, patient.vertebrae[0].s
    window = canvas.window((low - 3, high), (-15, 15), (-1, 24))
    if window is None:
        return
    half_width, half_depth = window.at(patient.sac["half_width"]), window.at(patient.sac["half_depth"])
    v = (window.v - window.at(patient.sac["middle"])) / half_depth
    u = window.u / (half_width * (1 - 0.22 * v))
    size = np.sqrt(half_width * half_depth)
    radius = length(u, v)
    edge = np.maximum((radius - 1) * half_depth, low - window.s)
    window.paint(edge - 0.5, "ligament")
    window.paint(edge, "csf")
    inside = radius < 1
    if not inside.any():
        return
    maps = _root_map()
    cell = ((v + 1) * (0.5 * _CELLS)).astype(np.int32), ((u + 1) * (0.5 * _CELLS)).astype(np.int32)
    layer = np.clip(window.s * (1 / 37) + 2.5, 0, len(maps) - 1).astype(np.int32)
    rows, cols = (np.clip(axis, 0, _CELLS - 1) for axis in cell)
    nearest = maps[layer, rows, cols] * size
    root = np.maximum(nearest - 0.75, edge + 0.4)
    below = np.clip((patient.build.conus_s - window.s) * 0.05, 0, 1)
    window.blend(window.cover(root) * 0.7 * below, "root")
    taper = np.clip((window.s - patient.build.conus_s) * (1 / 28), 0, 1) ** 0.5
    cord = ellipse(window.u, (v + 0.05) * half_depth, 5.0 * taper + 0.01, 3.9 * taper + 0.01)
    window.paint(np.maximum(cord, edge + 1), "cord")
