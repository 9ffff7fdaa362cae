"""The canal and its exits: epidural fat, ligaments, dural sac, cord and roots, lateral recesses, foramina."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lumbar.phantom.canvas import Canvas
from lumbar.phantom.patient import FORAMEN_RISE, FORAMEN_V, RECESS_V, SIGN
from lumbar.phantom.shapes import ellipse, slab

ROOTS: Final = 26
"""Nerve roots drawn in a cross-section of the sac (L2 to S5, both sides, motor and sensory partly merged)."""

_CELLS: Final = 96


@cache
def _root_map() -> NDArray[np.float32]:
    """Distance to the nearest nerve root on cross-sections of a round sac of radius 1.

    Shape (places along the spine, v, u); roots lie in the back, in two wings, as they do in a patient on the back.
    """
    rng = np.random.default_rng(2024)
    angle = np.linspace(-0.5, np.pi + 0.5, ROOTS) + rng.normal(0, 0.08, ROOTS)
    radius = rng.uniform(0.5, 0.85, ROOTS)
    grid = np.linspace(-1, 1, _CELLS)
    v, u = np.meshgrid(grid, grid, indexing="ij")
    maps = []
    for _ in range(4):
        angle, radius = angle + rng.normal(0, 0.05, ROOTS), np.clip(radius + rng.normal(0, 0.05, ROOTS), 0.4, 0.88)
        away = np.hypot(u[..., None] - radius * np.cos(angle), v[..., None] - radius * np.sin(angle))
        maps.append(away.min(axis=-1))
    return np.array(maps, dtype=np.float32)


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
    window.paint(ellipse(window.u / (1 - np.float32(0.25) * back), depth * back, width, depth), "fat")
    filled = window.at(patient.canal["ligament"])
    if not filled.max() > 0.01:
        return
    wall = ellipse(window.u / (1 - np.float32(0.3) * back), depth * back, width + 1, depth + 1)
    window.blend(window.cover(wall) * filled, "ligament")
    pad = np.maximum(slab(window.v, 14, 20.5), window.side - (3.6 - np.float32(0.35) * (window.v - 14)))
    window.blend(window.cover(pad) * filled, "fat")


def paint_foramina(canvas: Canvas) -> None:
    """Paint each side's foramen: tissue that closes it, a keyhole of fat of the grade's size, the root in the fat."""
    patient = canvas.patient
    for at, disc in enumerate(patient.discs):
        upper = patient.vertebrae[at]
        if upper.sacral:
            continue
        inner, outer = 0.5 * upper.canal_width - 1.0, upper.pedicle_u + 0.5 * upper.pedicle_width + 2.0
        for number, sign in enumerate(SIGN.values()):
            reach = sorted((sign * inner, sign * (outer + 6)))
            window = canvas.window((disc.s - 8, disc.s + 22), (reach[0], reach[1]), (-3, 14))
            if window is None:
                continue
            side = window.u * np.float32(sign)
            height = window.s - np.float32(disc.s + FORAMEN_RISE)
            depth = window.v - np.float32(FORAMEN_V)
            tube = np.maximum(slab(side, inner, outer), np.maximum(slab(height, -12, 12), slab(depth, -5.5, 7)))
            window.paint(tube, "annulus")
            half_height = np.float32(0.5 * disc.foramen_height[number])
            half_width = 0.5 * disc.foramen_width[number]
            flare = np.clip((side - np.float32(outer - 4)) * np.float32(0.25), 0, 1.5)
            up = height / (half_height * (1 + flare))
            key = np.clip(np.float32(0.85) + np.float32(0.25) * up, 0.5, 1.1) * (1 + 2 * flare)
            opening = (np.hypot(depth / (np.float32(half_width) * key), up) - 1) * np.float32(half_width)
            window.paint(np.maximum(opening, slab(side, inner - 1, outer + 5)), "fat")
            root = ellipse(
                height - np.float32(0.28) * half_height + np.float32(0.4) * (side - np.float32(patient.foramen_u(at))),
                depth,
                min(3.3, 0.42 * float(half_height)),
                min(2.6, 0.68 * half_width),
            )
            window.paint(np.maximum(root, slab(side, inner - 2, outer + 6)), "ganglion")


def paint_recesses(canvas: Canvas) -> None:
    """Paint each lateral recess: a pocket of fat beside the sac as high as the grade leaves it, its root inside."""
    patient = canvas.patient
    for at, disc in enumerate(patient.discs):
        if disc.level is None:
            continue
        middle = patient.recess_u(at)
        window = canvas.window((disc.s - 9, disc.s + 9), (-middle - 8, middle + 8), (-2, 12))
        if window is None:
            continue
        for number, sign in enumerate(SIGN.values()):
            half = 0.5 * disc.recess_height[number]
            side = window.u * np.float32(sign) - np.float32(middle)
            depth, height = window.v - np.float32(RECESS_V), window.s - np.float32(disc.s)
            pocket = np.maximum(ellipse(side, depth, 4.6, half), slab(height, -7.5, 7.5))
            window.paint(pocket, "fat")
            root = ellipse(side + 1.0, depth + 0.25 * half, min(1.7, 1.2 * half), min(1.7, 0.6 * half))
            window.paint(np.maximum(root, slab(height, -7.5, 7.5)), "root")


def paint_sac(canvas: Canvas) -> None:
    """Paint the dural sac: dura, CSF, the cord down to its cone, the roots of the cauda equina."""
    patient = canvas.patient
    low, high = patient.sac_end, patient.vertebrae[0].s
    window = canvas.window((low - 3, high), (-15, 15), (-1, 24))
    if window is None:
        return
    half_width, half_depth = window.at(patient.sac["half_width"]), window.at(patient.sac["half_depth"])
    v = (window.v - window.at(patient.sac["middle"])) / half_depth
    u = window.u / (half_width * (1 - np.float32(0.22) * v))
    size = np.sqrt(half_width * half_depth)
    radius = np.hypot(u, v)
    edge = np.maximum((radius - 1) * half_depth, np.float32(low) - window.s)
    window.paint(edge - np.float32(0.5), "ligament")
    window.paint(edge, "csf")
    inside = radius < 1
    if not inside.any():
        return
    maps = _root_map()
    cell = ((v + 1) * np.float32(0.5 * _CELLS)).astype(np.int32), ((u + 1) * np.float32(0.5 * _CELLS)).astype(np.int32)
    layer = (window.s * np.float32(1 / 25) + 40).astype(np.int32) % len(maps)
    rows, cols = (np.clip(axis, 0, _CELLS - 1) for axis in cell)
    nearest = maps[layer, rows, cols] * size
    root = np.maximum(nearest - np.float32(0.75), edge + np.float32(0.4))
    below = np.clip((np.float32(patient.build.conus_s) - window.s) * np.float32(0.05), 0, 1)
    window.blend(window.cover(root) * np.float32(0.8) * below, "root")
    taper = np.clip((window.s - np.float32(patient.build.conus_s)) * np.float32(1 / 28), 0, 1) ** np.float32(0.5)
    cord = ellipse(window.u, (v + np.float32(0.05)) * half_depth, 5.0 * taper + 0.01, 3.9 * taper + 0.01)
    window.paint(np.maximum(cord, edge + 1), "cord")
