"""Everything around the spine: skin, fat, the back's muscles, psoas, great vessels, kidneys, the belly's content."""

from __future__ import annotations

from typing import Final

import numpy as np

from lumbar.phantom.bones import paint_bone
from lumbar.phantom.canvas import Canvas, Window
from lumbar.phantom.patient import BACK_Z, Patient
from lumbar.phantom.shapes import ellipse, ellipsoid, segment, slab
from lumbar.phantom.spine import Table

SKIN: Final = 1.8
"""Thickness of the skin, mm."""

ORGANS: Final = (
    ((-95, -60, 125), (85, 80, 75), "liver"),
    ((-62, -2, 45), (27, 24, 52), "kidney"),
    ((62, -2, 55), (27, 24, 52), "kidney"),
    ((0, -75, -185), (42, 32, 36), "csf"),
)
"""Middle relative to L3's posterior wall and half-axes, mm; the last is the bladder, urine being as bright as CSF."""


def paint_trunk(canvas: Canvas) -> None:
    """Paint the trunk from the skin inwards, all but the spine."""
    window = canvas.everywhere()
    patient = canvas.patient
    fascia, skin, front = _surfaces(patient, window)
    _, y, _ = window.xyz()
    body = np.maximum(y - skin, front - y)
    window.paint(body, "skin")
    deep = np.clip(window.v * -0.05, 0, 1)  # fat around the organs is full of small vessels
    window.paint(body + SKIN, "fat", 1 - 0.3 * deep - 0.05 * np.abs(canvas.blobs))
    _paint_belly(canvas, window, front)
    _paint_psoas(canvas)
    _paint_back(canvas, fascia)
    _paint_hips(canvas)
    _paint_vessels(canvas)


def _surfaces(patient: Patient, window: Window) -> tuple[Table, Table, Table]:
    """Patient y of the back muscles' fascia, of the back's skin and of the belly's skin at each point."""
    build = patient.build
    x, _, z = window.xyz()
    row = np.clip(z - BACK_Z[0], 0, BACK_Z[1] - BACK_Z[0] - 1).astype(np.int32)
    middle = x - float(patient.spine.origin[0])
    away = np.square(middle)
    furrow = np.exp(away * (-1 / 200))
    fascia = patient.back["fascia"][row] - 4.5 * furrow - away * (1 / 420)
    skin = patient.back["skin"][row] - 2.5 * furrow - away * (1 / 420)
    deep = 75 - build.front_y
    front = build.front_y + away * (0.6 * deep / build.half_width**2)
    front = front + np.square(z + 20) * (1 / 900)
    return fascia, skin, front


def _paint_belly(canvas: Canvas, window: Window, front: Table) -> None:
    """Paint abdominal wall, bowel in fat, and organs; the surface coil hardly sees most of it."""
    x, y, z = window.xyz()
    inner = front + canvas.patient.build.front_fat
    blobs = canvas.blobs
    edge = window.v + window.at(canvas.patient.muscle["body_depth"]) + 10 - np.minimum(
        np.square(window.u) * 0.005, 18) + 3 * blobs  # fmt: skip
    window.paint(np.maximum(slab(y - inner, 0, 8), edge), "muscle")
    cavity = window.cover(np.maximum(inner + 8 - y, edge))
    window.blend(cavity, "fat", 0.62 + 0.12 * blobs)
    window.blend(cavity * np.clip(blobs * 1.6 - 0.3, 0, 1), "bowel", 1 - 0.2 * blobs)
    window.blend(cavity * np.clip(blobs * 4 - 6.4, 0, 1), "gas")
    spine = canvas.patient.spine.origin
    for centre, radii, tissue in ORGANS:
        dx, dy, dz = (axis - (at + c) for axis, at, c in zip((x, y, z), spine.tolist(), centre, strict=True))
        organ = ellipsoid(dx, dy, dz, radii)
        if float(organ.min()) < 1:
            window.paint(organ + blobs, tissue)


def _paint_back(canvas: Canvas, fascia: Table) -> None:
    """Paint erector spinae, multifidus and quadratus lumborum, their clefts and fatty streaks."""
    patient = canvas.patient
    window = canvas.window((patient.bone("S5").s, patient.bone("T8").s + 60), (-100, 100), (-12, 110))
    if window is None:
        return
    _, y, _ = window.xyz()
    side, v = window.side, window.v
    blobs = window.crop(canvas.blobs)
    between = ellipse(side - 33, v - 6, 16, 6) + blobs  # intertransverse muscles
    window.paint(np.maximum(between, slab(window.s, patient.bone("L5").s - 10, patient.bone("T10").s)), "muscle")
    square = ellipse(side - 60, v - 4 - 0.25 * (side - 60), 20, 8) + blobs
    window.paint(np.maximum(square, slab(window.s, patient.bone("L4").s - 10, patient.bone("T12").s)), "muscle")
    column = np.minimum(ellipse(side - 38, v - 32, 43, 25), np.maximum(side - 34, 14 - v))
    muscle = np.maximum(y - window.crop(fascia), column + 0.8 * blobs)
    window.paint(np.maximum(muscle - 0.8, 18 - v), "ligament")
    fatty = patient.build.muscle_fat * window.at(patient.muscle["fat"])
    streaks = window.texture("streak")
    window.paint(muscle + 0.5, "muscle", 1 + 0.07 * streaks)
    streaks = streaks * 0.45 + 2.4 * (fatty - 0.66)
    streaks += np.exp(np.abs(v - 27) * (-1 / 6)) * np.clip((34 - side) * 0.1, 0, 0.7)
    streaks += np.clip(4 - side, 0, 1) * 0.45  # the ligaments between the spinous processes
    cleft = np.abs(side - 22 - 0.45 * (v - 30) + 2 * blobs)
    cleft = np.minimum(cleft, np.abs(side - 50 - 0.3 * (v - 30) + 2.5 * blobs))
    streaks = np.maximum(streaks, np.clip(1.3 - cleft, 0, 1) * (0.2 + fatty))
    window.blend(window.cover(muscle + 1.5) * np.clip(streaks, 0, 1), "fat")


def _paint_psoas(canvas: Canvas) -> None:
    """Paint both psoas muscles along their tables."""
    patient = canvas.patient
    muscle = patient.muscle
    window = canvas.window((patient.bone("S5").s, patient.bone("T12").s), (-80, 80), (-75, 20))
    if window is None:
        return
    across = window.side - window.at(muscle["psoas_u"])
    along = window.v - window.at(muscle["psoas_v"])
    radius = window.at(muscle["psoas_radius"])
    belly = ellipse(across, along, 0.9 * radius, 1.15 * radius)
    belly += window.crop(canvas.blobs)
    streaks = window.texture("streak")
    window.paint(belly, "muscle", 1 + 0.1 * streaks)
    fatty = np.clip((streaks - 2.6) + (1.6 * patient.build.muscle_fat), 0, 1)
    window.blend(window.cover(belly + 2) * fatty, "fat")


def _paint_hips(canvas: Canvas) -> None:
    """Paint the iliac bones beside the sacrum, the gluteal muscles on them."""
    first = canvas.patient.bone("S1")
    window = canvas.window((first.s - 75, first.s + 40), (-110, 110), (-60, 55))
    if window is None:
        return
    height, side = window.s - first.s, window.side
    gluteus = segment(side, window.v, (60, 34), (112, -35)) - 15 + window.crop(canvas.blobs)
    window.paint(np.maximum(gluteus, height - 22), "muscle")
    hip = segment(side, window.v, (47, 30), (100, -50)) - 8
    paint_bone(window, np.maximum(hip, height - 24 - 0.4 * (side - 60)))


def _paint_vessels(canvas: Canvas) -> None:
    """Paint aorta (left) and vena cava (right) in front of the spine, and what they fork into below L4."""
    patient = canvas.patient
    size = patient.build.vessel_size
    fork = patient.bone("L4").s - 6
    window = canvas.window((patient.bone("S4").s, patient.bone("T8").s + 60), (-60, 60), (-75, -15))
    if window is None:
        return
    below = np.clip((fork - window.s) * (1 / 60), 0, 1.4)
    above = np.clip((window.s - fork) * (1 / 15), 0, 1)
    front = -window.at(patient.muscle["body_depth"])
    for u, radius, flat, behind, tissue in ((-15.0, 9.5, 0.8, 5.0, "slow_blood"), (9.0, 9.0, 1.0, 0.0, "blood")):
        shrink = (0.62 + 0.38 * above) * (radius * size)
        centre = front - (radius * flat * size + 2.5) + below * (10 + behind)
        forked = np.abs(window.u - (0.4 * u)) - below * 34 - 5
        across = np.where(window.s > fork, window.u - u, forked)
        tube = ellipse(across, window.v - centre, shrink, shrink * flat)
        window.paint(tube - 1, "wall")
        window.paint(tube, tissue)
