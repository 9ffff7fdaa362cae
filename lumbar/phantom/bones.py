"""Discs, vertebral bodies, pedicles, and the arch behind the canal."""

from __future__ import annotations

from functools import reduce
from typing import Final

import numpy as np

from lumbar.phantom.canvas import Canvas, ellipse, ellipsoid, length, segment, slab
from lumbar.phantom.spine import Table
from lumbar.phantom.vertebra import Disc, Vertebra

SHELL: Final = 0.8
"""Thickness of cortical bone with the chemical-shift and susceptibility line around it, mm."""


def paint_bone(window: Canvas, distance: Table, fatness: float = 1.0) -> None:
    """Paint bone: a dark shell around grainy marrow of a given brightness."""
    window.paint(distance, "cortical")
    window.paint(distance + SHELL, "marrow", grain(window) + fatness)


def grain(window: Canvas) -> Table:
    """Make marrow's uneven brightness, relative to its mean."""
    return 0.06 * window.texture("grain") + 0.06 * window.blobs


def outline(bone: Vertebra, side: Table, v: Table) -> Table:
    """How far out of a body's outline points are, seen from above: 1 on it; elliptic in front, boxier behind."""
    across = np.square(side * (2 / bone.width))
    along = (v - bone.middle) + bone.hollow_back(side)
    back = along > 0
    along *= 2 / bone.depth
    along *= along
    across = np.where(back, across * across, across)
    return np.where(back, np.sqrt(np.sqrt(across + along * along)), np.sqrt(across + along))


def paint_disc(canvas: Canvas, upper: Vertebra, lower: Vertebra, disc: Disc) -> None:
    """Paint a disc: dark outer ring, paler inner ring, nucleus with its cleft. The bodies are painted over its ends."""
    reach = 0.5 * disc.height + 6
    half = 0.5 * lower.width + 3
    window = canvas.window((disc.s - reach, disc.s + reach), (-half, half), (-lower.depth - 4, 7))
    if window is None:
        return
    v = window.v + 0.5  # sits in front of the posterior longitudinal ligament
    behind = np.clip(1 - v * (1 / lower.middle), 0, 1)  # 0 in the disc's middle, 1 at the posterior wall
    behind *= np.clip(1 - np.square(window.u) * (1 / 324), 0, 1)  # and nothing 18 mm beside the mid-line
    v = v - (disc.bulge + 0.5) * np.square(behind)
    radius = outline(lower, window.side, v)
    height = window.s - disc.s
    height -= 0.5 * (lower.half_height(window.v) - upper.half_height(window.v))
    height = np.abs(height)
    rim = np.maximum((radius - 1) * (0.25 * (lower.depth + upper.depth)) + 0.5, height - reach)
    window.paint(rim, "ligament")
    window.paint(rim + 1.6, "annulus", 1 + 0.06 * window.texture("grain"))
    flat = 0.5 * disc.height + 0.8
    core = ellipsoid(window.u, window.v - (lower.middle + 1.5), height, (
        0.33 * lower.width, 0.36 * lower.depth, flat))  # fmt: skip
    share = np.clip(core * -0.5 + 0.2, 0, 1)
    cleft = np.clip(1.4 - height * 0.9, 0, 1) * (0.5 * (disc.height > 5))
    window.blend(share * (1 - cleft), window.mix("nucleus", "nucleus_dry", disc.dryness))


def paint_body(canvas: Canvas, bone: Vertebra) -> None:
    """Paint a vertebral body: waisted sides, hollow end-plates, cortical shell, marrow, the basivertebral vein."""
    half = 0.5 * bone.width + 4
    reach = 0.5 * bone.height + 4
    window = canvas.window((bone.s - reach, bone.s + reach), (-half, half), (-bone.depth - 2, 5))
    if window is None:
        return
    height = window.s - bone.s
    radius = outline(bone, window.side, window.v)
    from_end = np.clip(1 - np.square(height * (2 / bone.height)), 0, 1)
    rim = (radius - 1 + bone.waist * from_end) * (0.5 * bone.depth)
    hollow = bone.hollow * np.clip(1 - radius * radius, 0, 1)
    ends = np.abs(height) - bone.half_height(window.v) + hollow
    corner = np.clip(rim + 2, 0, None), np.clip(ends + 2, 0, None)  # rims are rounded by 2 mm
    shell = np.where((rim > -2) & (ends > -2), length(*corner) - 2, np.maximum(rim, ends))
    paint_bone(window, shell, bone.fatness)
    stalk = ellipse(window.side - bone.pedicle_u, height - (bone.pedicle_s - bone.s),
                    0.5 * bone.pedicle_width - SHELL, 0.5 * bone.pedicle_height - SHELL)  # fmt: skip
    window.paint(np.maximum(stalk, slab(window.v, -8, 5)), "marrow", grain(window) + bone.fatness)
    if not bone.sacral:
        vein = ellipsoid(window.u, window.v + 1, height, (4.5, 7.0, 1.3))
        window.blend(window.cover(np.maximum(vein, shell)) * 0.45, "vein")


def paint_arch(canvas: Canvas, bone: Vertebra, arm: float) -> None:
    """Paint pedicles, articular and transverse processes, lamina and spinous process of a vertebra down to S1.

    The articular processes span the `arm`, the distance between this vertebra's pedicles and the next one's, mm.
    """
    reach = bone.pedicle_u + 32
    window = canvas.window((bone.pedicle_s - arm, bone.pedicle_s + 0.6 * arm), (-reach, reach), (-7, 56))
    if window is None:
        return
    height = window.s - bone.pedicle_s
    side, v = window.side, window.v
    nearest, farthest = float(side.min()), float(side.max())  # on a sagittal slice, half of the parts are elsewhere
    parts = []
    if farthest > 0.5 * bone.canal_width - 6:
        pedicle = ellipse(side - bone.pedicle_u, height, 0.5 * bone.pedicle_width, 0.5 * bone.pedicle_height)
        parts += [np.maximum(pedicle, slab(v, -6, 15)), upper_process(bone, window, arm)]
    if farthest > 0.5 * bone.canal_width - 6 and not bone.sacral:
        wing = segment(side, v, (bone.pedicle_u + 2, 12), (bone.pedicle_u + 26, 15))
        parts += [ellipse(wing, height, 2.8, 4.5), lower_process(bone, window, arm)]
    if nearest < bone.pedicle_u + 1 and not bone.sacral:
        lamina_v = 23.5 - (5.0 / bone.pedicle_u) * side - 0.28 * (height + 12)
        lamina = np.maximum(slab(v - lamina_v, -2.7, 2.7), slab(height, -0.64 * arm, -0.12 * arm))
        parts.append(np.maximum(lamina, side - bone.pedicle_u))
    if nearest < 6:
        parts.append(_spinous(bone, window, arm))
    if parts:
        paint_bone(window, reduce(np.minimum, parts), bone.fatness)


def upper_process(bone: Vertebra, window: Canvas, arm: float) -> Table:
    """Distance from the superior articular processes: behind the foramen, in front of the joint."""
    height = window.s - bone.pedicle_s
    axis = segment(height, window.v, (1.0, 13.5), (0.42 * arm, 14.3))
    return ellipse(axis, window.side - (bone.pedicle_u + 1.5), 5.6, 7.5)


def lower_process(bone: Vertebra, window: Canvas, arm: float) -> Table:
    """Distance from the inferior articular processes with the pars above them: behind the joint."""
    height = window.s - bone.pedicle_s
    axis = segment(height, window.v, (-1.0, 15.5), (-0.64 * arm, 22.5))
    return ellipse(axis, window.side - (bone.pedicle_u - 2.8), 5.0, 7.2)


def _spinous(bone: Vertebra, window: Canvas, arm: float) -> Table:
    """Distance from the spinous process: a thin plate, thicker and drooping at its tip."""
    along = np.clip((window.v - 22) * (1 / bone.spinous), 0, 1)
    height = window.s - (bone.pedicle_s - 0.36 * arm) + bone.droop * (window.v - 22)
    tall = 0.2 * arm + 0.07 * arm * along * along
    plate = np.maximum(np.abs(height) - tall, window.side - (2.4 + 1.8 * along))
    return np.maximum(plate, slab(window.v, 20, 22 + bone.spinous) + 0.04 * height * height)


def paint_joint(canvas: Canvas, upper: Vertebra, lower: Vertebra, disc: Disc, arm: float) -> None:
    """Paint the joint line between two articular processes, both sides: cartilage with a film of fluid."""
    reach = upper.pedicle_u + 12
    window = canvas.window((disc.s - 14, disc.s + 14), (-reach, reach), (8, 30))
    if window is None:
        return
    front, back = upper_process(lower, window, arm), lower_process(upper, window, arm)
    between = np.abs(front - back) * 0.5
    line = np.maximum(np.maximum(front, back) - 0.2, between - 0.7)
    window.paint(line - 0.6, "cortical")
    window.paint(line, window.mix("cartilage", "joint_fluid", 0.35))


def paint_sacrum(canvas: Canvas) -> None:
    """Paint what is lateral of and behind the sacral bodies, with the first two pairs of foramina."""
    first, second = canvas.patient.bone("S1"), canvas.patient.bone("S2")
    low, high = first.s - 75, first.s + 22
    window = canvas.window((low, high), (-54, 54), (-25, 30))
    if window is None:
        return
    height, side, v = window.s - first.s, window.side, window.v
    wing = ellipse(side - 22, v + 6, 28, 17)
    wing = np.maximum(wing, np.maximum(height - 13 + 0.2 * (side - 15), side - height - 75))
    paint_bone(window, wing)
    roof = slab(v + 0.12 * side - 0.1 * (height + 10), 12.5, 17)
    paint_bone(window, np.maximum(np.maximum(roof, side - 22), slab(height, -70, 6)))
    for bone in (first, second):
        hole = ellipse(side - 18, window.s - (bone.s - 0.55 * bone.height), 4.5, 5.0)
        window.paint(np.maximum(hole, slab(v, -22, 14)), "fat")
        window.paint(np.maximum(hole + 2.4, slab(v, -25, 6)), "ganglion")
