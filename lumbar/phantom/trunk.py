"""Everything around the spine: skin, fat, the back's muscles, psoas, great vessels, kidneys, the belly's content."""

from __future__ import annotations

from typing import Final

import numpy as np

from lumbar.phantom.bones import paint_bone
from lumbar.phantom.canvas import Canvas, ellipse, ellipsoid, segment, slab
from lumbar.phantom.patient import BACK_Z
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
    build = canvas.patient.build
    curve = 0.6 * (75 - build.front_y) / build.half_width**2
    front = build.front_y + _beside(canvas) * curve + np.square(canvas.z + 20) * (1 / 900)
    body = np.maximum(canvas.y - _back(canvas, "skin", 2.5), front - canvas.y)
    canvas.paint(body, "skin")
    deep = np.clip(canvas.v * -0.05, 0, 1)  # fat around the organs is full of small vessels
    canvas.paint(body + SKIN, "fat", 1 - 0.3 * deep - 0.05 * np.abs(canvas.blobs))
    _paint_belly(canvas, front)
    _paint_psoas(canvas)
    _paint_back(canvas)
    _paint_hips(canvas)
    _paint_vessels(canvas)


def _beside(canvas: Canvas) -> Table:
    """Square of the distance from the middle of the trunk, mm²."""
    return np.square(canvas.x - float(canvas.patient.spine.origin[0]))


def _back(canvas: Canvas, surface: str, furrow: float) -> Table:
    """Patient y of the back's fascia or skin at each point, with a furrow of some mm along its middle."""
    row = np.clip(canvas.z - BACK_Z[0], 0, BACK_Z[1] - BACK_Z[0] - 1).astype(np.int32)
    beside = _beside(canvas)
    return canvas.patient.back[surface][row] - furrow * np.exp(beside * (-1 / 200)) - beside * (1 / 420)


def _paint_belly(canvas: Canvas, front: Table) -> None:
    """Paint abdominal wall, bowel in fat, and organs; the surface coil hardly sees most of it."""
    inner = front + canvas.patient.build.front_fat
    blobs = canvas.blobs
    rounded = np.minimum(np.square(canvas.u) * 0.005, 18)
    edge = canvas.v + canvas.at(canvas.patient.muscle["body_depth"]) + 10 - rounded + 3 * blobs
    canvas.paint(np.maximum(slab(canvas.y - inner, 0, 8), edge), "muscle")
    cavity = canvas.cover(np.maximum(inner + 8 - canvas.y, edge))
    canvas.blend(cavity, "fat", 0.62 + 0.12 * blobs)
    canvas.blend(cavity * np.clip(blobs * 1.6 - 0.3, 0, 1), "bowel", 1 - 0.2 * blobs)
    canvas.blend(cavity * np.clip(blobs * 4 - 6.4, 0, 1), "gas")
    spine = canvas.patient.spine.origin
    for centre, radii, tissue in ORGANS:
        axes = zip((canvas.x, canvas.y, canvas.z), spine.tolist(), centre, strict=True)
        dx, dy, dz = (axis - (at + c) for axis, at, c in axes)
        organ = ellipsoid(dx, dy, dz, radii)
        if float(organ.min()) < 1:
            canvas.paint(organ + blobs, tissue)


def _paint_back(canvas: Canvas) -> None:
    """Paint erector spinae, multifidus and quadratus lumborum, their clefts and fatty streaks."""
    patient = canvas.patient
    window = canvas.window((patient.bone("S5").s, patient.bone("T8").s + 60), (-100, 100), (-12, 110))
    if window is None:
        return
    side, v, blobs = window.side, window.v, window.blobs
    between = ellipse(side - 33, v - 6, 16, 6) + blobs  # intertransverse muscles
    window.paint(np.maximum(between, slab(window.s, patient.bone("L5").s - 10, patient.bone("T10").s)), "muscle")
    square = ellipse(side - 60, v - 4 - 0.25 * (side - 60), 20, 8) + blobs
    window.paint(np.maximum(square, slab(window.s, patient.bone("L4").s - 10, patient.bone("T12").s)), "muscle")
    column = np.minimum(ellipse(side - 38, v - 32, 43, 25), np.maximum(side - 34, 14 - v))
    muscle = np.maximum(window.y - _back(window, "fascia", 4.5), column + 0.8 * blobs)
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
    belly += window.blobs
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
    gluteus = segment(side, window.v, (60, 34), (112, -35)) - 15 + window.blobs
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
