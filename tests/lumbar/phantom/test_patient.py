import numpy as np
import pytest

from lumbar.anatomy import LEVELS, TARGETS, VERTEBRAE
from lumbar.phantom.patient import BACK_Z, sample_patient
from lumbar.phantom.spine import index

NORMAL = dict.fromkeys(TARGETS, 0)


def patient_with(seed=0, **grades):
    return sample_patient(np.random.default_rng(seed), NORMAL | grades)


@pytest.mark.parametrize("level", LEVELS)
def test_level_point_is_the_formula(level):
    patient = patient_with()
    number = LEVELS.index(level) + 2
    point = patient.level_point(level)
    upper, lower = (patient.vertebra_corners(VERTEBRAE[number + k], point[0]) for k in (0, 1))
    np.testing.assert_allclose(point, 0.7 * upper[1] + 0.3 * lower[0], atol=0.02)


@pytest.mark.parametrize("label", VERTEBRAE)
def test_corners_lie_on_the_plane_in_the_order_of_spinenet(label):
    patient = patient_with(3)
    x = float(patient.level_point("l3_l4")[0]) + 6
    corners = patient.vertebra_corners(label, x)
    assert corners.shape == (4, 3)
    np.testing.assert_allclose(corners[:, 0], x, atol=0.02)
    top_back, bottom_back, bottom_front, top_front = corners
    assert top_back[2] > bottom_back[2] and top_front[2] > bottom_front[2]  # up is +z
    assert top_back[1] > top_front[1]  # the back is at +y
    height, depth = np.linalg.norm(top_back - bottom_back), np.linalg.norm(top_back - top_front)
    assert 17 < height < 36 and 13 < depth < 42


def test_corners_are_the_bodys_own():
    patient = patient_with(1)
    bone = patient.vertebrae[7]
    x = float(patient.spine.midline(bone.s))
    corner = patient.vertebra_corners("L3", x)[0]
    s, u, v = (axis.item() for axis in patient.spine.to_straight(*np.float32(corner).reshape(3, 1, 1, 1)))
    assert abs(u) < 0.3
    assert v == pytest.approx(bone.wall(u, front=False), abs=0.1)
    assert s == pytest.approx(bone.s + bone.half_height(v), abs=0.1)


def test_a_plane_beside_the_body_meets_nothing():
    patient = patient_with()
    assert patient.vertebra_corners("L3", 80.0) is None


@pytest.mark.parametrize("seed", range(8))
def test_centres_lie_where_people_click_on_real_images(seed):
    patient = patient_with(seed)
    for level in LEVELS:
        point = patient.level_point(level)
        normal = patient.disc_normal(level)
        assert np.linalg.norm(normal) == pytest.approx(1) and normal[2] > 0.35
        centres = patient.centres(level)
        canal = centres["canal"] - point
        assert 5 < np.linalg.norm(canal) < 12 and canal[1] > 3
        for side, sign in (("left", 1), ("right", -1)):
            foramen = centres[f"{side}_foramen"] - point
            assert 13 < sign * foramen[0] < 25
            assert 2 < foramen @ normal < 9
            recess = centres[f"{side}_recess"] - point
            assert 8 < sign * recess[0] < 15
            assert abs(recess @ normal) < 6


def test_discs_are_tilted_forwards_at_the_sacrum():
    patient = patient_with()
    assert patient.disc_normal("l5_s1")[1] < patient.disc_normal("l4_l5")[1] < patient.disc_normal("l1_l2")[1]


def test_the_same_state_gives_the_same_patient_and_grades_move_no_points():
    one, same, sick = patient_with(5), patient_with(5), patient_with(5, spinal_canal_stenosis_l3_l4=2)
    for level in LEVELS:
        np.testing.assert_array_equal(one.level_point(level), same.level_point(level))
        np.testing.assert_array_equal(one.level_point(level), sick.level_point(level))
        np.testing.assert_array_equal(one.centres(level)["left_foramen"], sick.centres(level)["left_foramen"])
    assert not np.array_equal(one.level_point("l3_l4"), patient_with(6).level_point("l3_l4"))


@pytest.fixture(scope="module")
def stenotic():
    return patient_with(2, spinal_canal_stenosis_l4_l5=2)


def test_the_sac_has_each_discs_own_area(stenotic):
    for disc in stenotic.discs[5:10]:
        at = index(disc.s)
        assert np.pi * stenotic.sac["half_width"][at] * stenotic.sac["half_depth"][at] == pytest.approx(
            disc.sac_area, rel=0.005
        )


def test_a_stenosis_is_over_at_the_middle_of_the_next_body(stenotic):
    for bone in stenotic.vertebrae[8:10]:  # L4, L5
        at = index(bone.s)
        area = np.pi * stenotic.sac["half_width"][at] * stenotic.sac["half_depth"][at]
        assert area == pytest.approx(stenotic.build.sac_area, rel=0.01)


def test_the_sac_stays_within_the_canal_and_ends_in_the_second_sacral_vertebra(stenotic):
    low, high = index(stenotic.vertebrae[9].s), index(stenotic.vertebrae[4].s)
    part = slice(low, high)
    assert (stenotic.sac["half_width"] < stenotic.canal["half_width"])[part].all()
    assert (stenotic.sac["middle"] - stenotic.sac["half_depth"] > 0)[part].all()
    second = stenotic.vertebrae[11]
    assert abs(stenotic.sac_end - second.s) < 0.5 * second.height


def test_ligaments_lie_at_the_discs(stenotic):
    filled = stenotic.canal["ligament"]
    assert filled[index(stenotic.discs[7].s)] > 0.99
    assert filled[index(stenotic.vertebrae[7].s)] < 0.15


def test_the_skin_lies_behind_the_fascia_and_the_fascia_behind_the_spinous_processes(stenotic):
    assert (stenotic.back["skin"] > stenotic.back["fascia"]).all()
    bone = stenotic.vertebrae[7]
    _, y, z = stenotic.spine.to_patient(bone.s, 0.0, 22 + bone.spinous)
    assert stenotic.back["fascia"][round(z - BACK_Z[0])] > y


def test_psoas_grows_downwards_and_muscles_fatten(stenotic):
    at = {bone.label: index(bone.s) for bone in stenotic.vertebrae}
    assert stenotic.muscle["psoas_radius"][at["L1"]] < stenotic.muscle["psoas_radius"][at["L4"]]
    assert stenotic.muscle["fat"][at["L1"]] < stenotic.muscle["fat"][at["L5"]]
