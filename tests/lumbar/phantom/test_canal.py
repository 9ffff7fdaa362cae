import numpy as np
import pytest

from lumbar.phantom import canal
from lumbar.phantom.patient import FORAMEN_RISE, FORAMEN_V, RECESS_V

L3_L4 = 7


def test_the_sac_is_csf_and_the_cord_ends_at_its_cone(painted):
    patient = painted("T2")[0].patient
    end = patient.build.conus_s
    canvas, at = painted("T2", s=end)
    canal.paint_sac(canvas)
    csf, cord = canvas.signals["csf"].item(), canvas.signals["cord"].item()
    middle = 1.6 + 0.5 * 13
    assert at(end + 35, 0.0, middle) == pytest.approx(cord, rel=0.1)
    assert at(end - 8, 0.0, middle - 3) == pytest.approx(csf, rel=0.1)  # in front of the roots


def test_roots_lie_in_the_back_of_the_sac(painted):
    canvas, at = painted("T2")
    canal.paint_sac(canvas)
    disc = canvas.patient.discs[L3_L4]
    depth = disc.sac_half_depth
    middle = 1.6 + 0.35 * max(0.0, np.sqrt(canvas.patient.build.sac_area / np.pi / 1.35) - depth) + depth
    front = np.mean([at(disc.s + ds, 0.0, middle - 0.5 * depth) for ds in range(-3, 4)])
    back = min(at(disc.s + ds, 0.0, middle + share * depth) for ds in range(-3, 4) for share in (0.4, 0.5, 0.6, 0.75))
    assert front == pytest.approx(canvas.signals["csf"].item(), rel=0.02)
    assert back < 0.9 * front


@pytest.mark.parametrize(("grade", "lowest", "highest"), [(0, 0.9, 1.001), (2, 0.0, 0.35)])
def test_the_fat_of_a_foramen_follows_its_grade(painted, grade, lowest, highest):
    patient = painted("T1")[0].patient
    u = patient.vertebrae[L3_L4].pedicle_u
    canvas, at = painted("T1", x=u, left_neural_foraminal_narrowing_l3_l4=grade)
    canal.paint_foramina(canvas)
    s, fat = patient.discs[L3_L4].s + FORAMEN_RISE, canvas.signals["fat"].item()
    ring = [at(s - 1.0, u, FORAMEN_V + dv) / fat for dv in (-2.6, 2.6)]
    assert lowest <= min(ring) and max(ring) <= highest


def test_the_root_lies_in_the_upper_foramen(painted):
    patient = painted("T1")[0].patient
    u = patient.vertebrae[L3_L4].pedicle_u
    canvas, at = painted("T1", x=u)
    canal.paint_foramina(canvas)
    disc = patient.discs[L3_L4]
    up = 0.14 * disc.foramen_height[0]
    assert at(disc.s + FORAMEN_RISE + up, u, FORAMEN_V) == pytest.approx(canvas.signals["ganglion"].item(), rel=0.05)


@pytest.mark.parametrize(("grade", "bright"), [(0, True), (1, False), (2, False)])
def test_a_recess_is_as_high_as_its_grade(painted, grade, bright):
    patient = painted("T2")[0].patient
    u = patient.vertebrae[L3_L4 + 1].recess_u
    canvas, at = painted("T2", x=u, left_subarticular_stenosis_l3_l4=grade)
    canal.paint_recesses(canvas)
    s, fat = patient.discs[L3_L4].s, canvas.signals["fat"].item()
    height = sum(at(s, u + 1.5, RECESS_V + dv) > 0.5 * fat for dv in np.arange(-5, 5, 0.25)) / 4
    assert (height > 4.5) == bright
    assert at(s + 12, u, RECESS_V) == 0  # only at the disc


def test_ligaments_fill_the_canal_at_the_disc_and_fat_lies_behind(painted):
    canvas, at = painted("T2")
    canal.paint_canal(canvas)
    disc, bone = canvas.patient.discs[L3_L4], canvas.patient.vertebrae[L3_L4]
    assert at(disc.s, 0.0, 9.0) < 0.1 < at(bone.s, 0.0, 9.0)
    assert at(disc.s, 0.0, 17.0) > 0.3


def test_a_traversing_root_runs_from_recess_to_foramen(painted):
    patient = painted("T1")[0].patient
    u = 0.5 * patient.vertebrae[L3_L4].canal_width - 2
    canvas, at = painted("T1", x=u)
    canal.paint_traversing_roots(canvas)
    bend = patient.discs[L3_L4].s + FORAMEN_RISE + 11
    assert at(bend, u, 4.5) == pytest.approx(canvas.signals["root"].item(), rel=0.05)
    assert at(bend, u, 9.0) == 0
