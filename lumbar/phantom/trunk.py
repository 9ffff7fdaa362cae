"""Everything around the spine: skin, fat, the back's muscles, psoas, great vessels, kidneys, the belly's content."""

from __future__ import annotations

from typing import Final

import numpy as np

from lumbar.phantom.canvas import Canvas, Window
from lumbar.phantom.patient import BACK_Z, Patient
from lumbar.phantom.shapes import ellipse, ellipsoid, slab
from lumbar.phantom.spine import Table

SKIN: Final = 1.8
"""Thickness of the skin, mm."""


def paint_trunk(canvas: Canvas) -> None:
    """Paint the trunk from the skin inwards, all but the spine."""
    window = canvas.everywhere()
    patient = canvas.patient
    fascia, skin, front = _surfaces(patient, window)
    _, y, _ = window.xyz()
    body = np.maximum(y - skin, front - y)
    window.paint(body, "skin")
    window.paint(body + np.float32(SKIN), "fat", 1 + np.float32(0.03) * window.texture("streak"))
    _paint_belly(canvas, window, front)
    _paint_back(canvas, fascia)
    _paint_psoas(canvas)
    _paint_vessels(canvas)


def _surfaces(patient: Patient, window: Window) -> tuple[Table, Table, Table]:
    """Patient y of the back muscles' fascia, of the back's skin and of the belly's skin at each point."""
    build = patient.build
    x, _, z = window.xyz()
    row = np.clip(z - np.float32(BACK_Z[0]), 0, BACK_Z[1] - BACK_Z[0] - 1).astype(np.int32)
    middle = x - np.float32(patient.spine.origin[0])
    away = np.square(middle)
    furrow = np.exp(away * np.float32(-1 / 200))
    fascia = patient.back["fascia"][row] - np.float32(4.5) * furrow - away * np.float32(1 / 420)
    skin = patient.back["skin"][row] - np.float32(2.5) * furrow - away * np.float32(1 / 420)
    deep = 75 - build.front_y
    front = np.float32(build.front_y) + away * np.float32(0.6 * deep / build.half_width**2)
    front = front + np.square(z + 20) * np.float32(1 / 900)
    return fascia, skin, front


def _paint_belly(canvas: Canvas, window: Window, front: Table) -> None:
    """Paint abdominal wall, bowel in fat, liver, kidneys, bladder; the surface coil hardly sees most of it."""
    build = canvas.patient.build
    x, y, z = window.xyz()
    inner = front + np.float32(build.front_fat)
    wall = np.maximum(slab(y - inner, 0, 9), window.v + 40)
    window.paint(wall, "muscle")
    blobs = window.texture("blob")
    cavity = window.cover(np.maximum(inner + 9 - y, window.v + 46))
    window.blend(cavity * np.clip(blobs * 2, 0, 1), "bowel")
    window.blend(cavity * np.clip(blobs * 3 - 3.6, 0, 1), "gas")
    spine = canvas.patient.spine.origin
    for centre, radii, tissue in (
        ((-95, -60, 125), (85, 80, 75), "liver"),
        ((-62, -2, 45), (27, 24, 52), "kidney"),
        ((62, -2, 55), (27, 24, 52), "kidney"),
        ((0, -75, -185), (42, 32, 36), "csf"),
    ):
        dx, dy, dz = (axis - np.float32(at + c) for axis, at, c in zip((x, y, z), spine, centre, strict=True))
        box = ellipsoid(dx, dy, dz, radii)
        if float(box.min()) < 1:
            window.paint(box, tissue)


def _paint_back(canvas: Canvas, fascia: Table) -> None:
    """Paint erector spinae, multifidus and quadratus lumborum, their clefts and fatty streaks."""
    patient = canvas.patient
    s = (patient.vertebrae[-1].s, patient.vertebrae[0].s + 60)
    window = canvas.window(s, (-100, 100), (-12, 110))
    if window is None:
        return
    _, y, _ = window.xyz()
    top = fascia[:, window.rows if fascia.shape[1] > 1 else slice(None), window.cols if fascia.shape[2] > 1 else slice(None)]
    side, v = window.side, window.v
    outer = window.side - np.float32(88)
    low = np.float32(10) + np.float32(0.1) * side
    muscle = np.maximum(np.maximum(y - top, low - v), outer)
    window.paint(muscle - np.float32(0.8), "ligament")
    window.paint(muscle + np.float32(0.6), "muscle")
    fatty = np.float32(patient.build.muscle_fat) * window.at(patient.muscle["fat"])
    streaks = window.texture("streak") * np.float32(0.5) + 2.6 * (fatty - 0.62)
    streaks += np.exp(np.abs(v - 27) * np.float32(-1 / 6)) * (side < 30) * np.float32(0.7)
    cleft = np.minimum(np.abs(side - 20 - 0.35 * (v - 30)), np.abs(side - 48 - 0.25 * (v - 30)))
    streaks = np.maximum(np.clip(streaks, 0, 1), np.clip(1.4 - cleft, 0, 1) * (0.25 + fatty))
    window.blend(window.cover(muscle + np.float32(1.5)) * np.clip(streaks, 0, 1), "fat")
    square = ellipse(side - 66, v - 2, 20, 9)
    window.paint(np.maximum(square, slab(window.s, patient.vertebrae[8].s - 10, patient.vertebrae[4].s)), "muscle")


def _paint_psoas(canvas: Canvas) -> None:
    """Paint both psoas muscles along their tables."""
    muscle = canvas.patient.muscle
    bones = canvas.patient.vertebrae
    window = canvas.window((bones[-1].s, bones[4].s), (-80, 80), (-75, 20))
    if window is None:
        return
    across = window.side - window.at(muscle["psoas_u"])
    along = window.v - window.at(muscle["psoas_v"])
    radius = window.at(muscle["psoas_radius"])
    belly = ellipse(across, along, np.float32(0.9) * radius, np.float32(1.15) * radius)
    window.paint(belly, "muscle", 1 + np.float32(0.06) * window.texture("streak"))


def _paint_vessels(canvas: Canvas) -> None:
    """Paint aorta (left) and vena cava (right) in front of the spine, and the arteries and veins below their forks."""
    patient = canvas.patient
    size = patient.build.vessel_size
    bones = patient.vertebrae
    fork = bones[7].s - 8
    window = canvas.window((bones[-2].s, bones[0].s + 60), (-60, 60), (-75, -15))
    if window is None:
        return
    front = -window.at(patient.muscle["body_depth"])
    below = np.clip((np.float32(fork) - window.s) * np.float32(1 / 60), 0, 1.4)
    for u, radius, flat, tissue in ((9.0, 9.0, 1.0, "blood"), (-15.0, 9.5, 0.8, "slow_blood")):
        shrink = np.where(window.s > fork, 1, np.float32(0.66))
        centre = front - np.float32(radius * flat * size + 2.5) + below * 12
        across = window.u - np.float32(u)
        forked = np.abs(window.u - np.float32(0.4 * u)) - below * 34 - 6
        across = np.where(window.s > fork, across, forked)
        tube = ellipse(across, window.v - centre, radius * size * shrink, radius * flat * size * shrink)
        window.paint(tube - np.float32(1), "wall")
        window.paint(tube, tissue)
