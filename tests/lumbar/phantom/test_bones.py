import dataclasses

import numpy as np
import pytest

from lumbar.phantom import bones

ARM = 37.0


def test_a_body_has_a_dark_shell_around_marrow(painted):
    canvas, at = painted("T1")
    bone = canvas.patient.vertebrae[7]
    bones.paint_body(canvas, bone)
    marrow = canvas.signals["marrow"].item() * bone.fatness
    assert at(bone.s, 0.0, bone.middle) == pytest.approx(marrow, rel=0.35)
    assert at(bone.s, 0.0, bone.wall(0.0, front=True) + 0.4) < 0.25 * marrow
    for beyond in ((bone.s, 0.0, 3.0), (bone.s + 0.5 * bone.height + 2, 0.0, bone.middle), (bone.s, 0.0, -40.0)):
        assert at(*beyond) == 0


def test_end_plates_are_hollow(painted):
    canvas, at = painted("T1")
    bone = dataclasses.replace(canvas.patient.vertebrae[7], hollow=3.0, wedge=0.0)
    bones.paint_body(canvas, bone)
    assert at(bone.s + 0.5 * bone.height - 1.5, 0.0, bone.middle) == 0
    assert at(bone.s + 0.5 * bone.height - 4.5, 0.0, bone.middle) > 0.2


def test_a_wet_nucleus_is_brighter_than_its_ring_and_a_dry_one_is_not(painted):
    bright = []
    for dryness in (0.0, 1.0):
        canvas, at = painted("T2")
        upper, lower = canvas.patient.vertebrae[7:9]
        disc = dataclasses.replace(canvas.patient.discs[7], dryness=dryness)
        bones.paint_disc(canvas, upper, lower, disc)
        ring = at(disc.s, 0.0, lower.wall(0.0, front=True) + 3)
        bright.append(at(disc.s + 2.5, 0.0, lower.middle + 1.5) / ring)
    assert bright[0] > 3 and bright[1] < 2.2


def test_a_bulge_reaches_into_the_canal(painted):
    reach = []
    for bulge in (0.0, 4.0):
        canvas, at = painted("T1")
        upper, lower = canvas.patient.vertebrae[7:9]
        bones.paint_disc(canvas, upper, lower, dataclasses.replace(canvas.patient.discs[7], bulge=bulge))
        reach.append(sum(at(canvas.patient.discs[7].s, 0.0, v) > 0.02 for v in np.arange(-1, 8, 0.5)))
    assert 7 <= reach[1] - reach[0] <= 10  # half millimetres


def test_the_arch_surrounds_the_canal(painted):
    canvas, at = painted("T1", x=0.0)
    bone = canvas.patient.vertebrae[7]
    bones.paint_arch(canvas, bone, ARM)
    spinous = bone.pedicle_s - 0.36 * ARM - bone.droop * 10
    assert at(spinous, 0.0, 32.0) > 0.2
    assert all(at(bone.s, 0.0, v) == 0 for v in (2.0, 8.0, 13.0))
    canvas, at = painted("T1", x=bone.pedicle_u)
    bones.paint_arch(canvas, bone, ARM)
    assert at(bone.pedicle_s, bone.pedicle_u, 6.0) > 0.2  # pedicle
    assert at(bone.pedicle_s - bone.pedicle_height, bone.pedicle_u, 5.0) == 0  # foramen below it


def test_a_joint_lies_between_the_processes(painted):
    patient = painted("T1")[0].patient
    upper, lower = patient.vertebrae[7:9]
    canvas, _ = painted("T2", x=upper.pedicle_u)
    front, back = (
        bones.upper_process(lower, canvas, ARM), bones.lower_process(upper, canvas, ARM)
    )  # fmt: skip
    bones.paint_joint(canvas, upper, lower, patient.discs[7], ARM)
    painted_pixels = canvas.picture[0] > 0.05
    assert painted_pixels.any()
    assert (np.abs(front - back)[painted_pixels] < 3.5).all()


def test_the_sacral_wings_reach_beside_the_body(painted):
    patient = painted("T1")[0].patient
    first = patient.vertebrae[10]
    canvas, at = painted("T1", x=32.0, s=first.s)
    bones.paint_sacrum(canvas)
    assert at(first.s - 5, 32.0, -6.0) > 0.2
    assert at(first.s + 40, 32.0, -6.0) == 0
