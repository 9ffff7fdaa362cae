import numpy as np
import pytest

from lumbar.anatomy import LEVELS, TARGETS, VERTEBRAE
from lumbar.phantom.patient import sample_patient

NORMAL = dict.fromkeys(TARGETS, 0)


def patient(seed=0, **grades):
    return sample_patient(np.random.default_rng(seed), NORMAL | grades)


@pytest.mark.parametrize("x", [None, 12.0])
@pytest.mark.parametrize("level", LEVELS)
def test_level_point_is_the_formula(level, x):
    someone = patient()
    number = LEVELS.index(level) + 2
    point = someone.level_point(level, x)
    plane = point[0] if x is None else x
    upper, lower = (someone.vertebra_corners(VERTEBRAE[number + k], plane) for k in (0, 1))
    np.testing.assert_allclose(point, 0.7 * upper[1] + 0.3 * lower[0], atol=1e-9)


@pytest.mark.parametrize("label", VERTEBRAE)
def test_corners_lie_on_the_plane_in_the_order_of_spinenet(label):
    someone = patient(3)
    x = float(someone.level_point("l3_l4")[0]) + 6
    corners = someone.vertebra_corners(label, x)
    assert corners.shape == (4, 3)
    np.testing.assert_allclose(corners[:, 0], x, atol=0.02)
    top_back, bottom_back, bottom_front, top_front = corners
    assert top_back[2] > bottom_back[2] and top_front[2] > bottom_front[2]  # up is +z
    assert top_back[1] > top_front[1]  # the back is at +y
    height, depth = np.linalg.norm(top_back - bottom_back), np.linalg.norm(top_back - top_front)
    assert 17 < height < 36 and 13 < depth < 42


def test_corners_are_the_bodys_own():
    someone = patient(1)
    bone = someone.vertebrae[7]
    x = float(someone.spine.midline(bone.s))
    corner = someone.vertebra_corners("L3", x)[0]
    s, u, v = (axis.item() for axis in someone.spine.to_straight(*np.float32(corner).reshape(3, 1, 1, 1)))
    assert abs(u) < 0.3
    assert v == pytest.approx(bone.wall(u, front=False), abs=0.1)
    assert s == pytest.approx(bone.s + bone.half_height(v), abs=0.1)


def test_a_plane_beside_the_body_meets_nothing():
    someone = patient()
    assert someone.vertebra_corners("L3", 80.0) is None
    assert someone.level_point("l3_l4", 80.0) is None
    assert someone.level_point("l3_l4", None) is not None


@pytest.mark.parametrize("seed", range(8))
def test_centres_lie_where_people_click_on_real_images(seed):
    someone = patient(seed)
    for level in LEVELS:
        point = someone.level_point(level)
        normal = someone.disc_normal(level)
        assert np.linalg.norm(normal) == pytest.approx(1) and normal[2] > 0.35
        canal = someone.canal_centre(level) - point
        assert 5 < np.linalg.norm(canal) < 12 and canal[1] > 3
        for side, sign in (("left", 1), ("right", -1)):
            foramen = someone.foramen_centre(level, side) - point
            assert 13 < sign * foramen[0] < 25
            assert 2 < foramen @ normal < 9
            recess = someone.recess_centre(level, side) - point
            assert 8 < sign * recess[0] < 15
            assert abs(recess @ normal) < 6


def test_discs_are_tilted_forwards_at_the_sacrum():
    someone = patient()
    assert someone.disc_normal("l5_s1")[1] < someone.disc_normal("l4_l5")[1] < someone.disc_normal("l1_l2")[1]


def test_the_same_state_gives_the_same_patient_and_grades_change_nothing_else():
    one, same, sick = patient(5), patient(5), patient(5, spinal_canal_stenosis_l3_l4=2)
    for level in LEVELS:
        np.testing.assert_array_equal(one.level_point(level), same.level_point(level))
        np.testing.assert_array_equal(one.level_point(level), sick.level_point(level))
        np.testing.assert_array_equal(one.foramen_centre(level, "left"), sick.foramen_centre(level, "left"))
    assert sick.discs[7].sac_area < 0.72 * one.discs[7].sac_area
    assert not np.array_equal(one.level_point("l3_l4"), patient(6).level_point("l3_l4"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda someone: someone.vertebra_corners("L6", 0.0), "label must be one of T11.*got 'L6'"),
        (lambda someone: someone.level_point("l6_s1"), "level must be one of l1_l2.*got 'l6_s1'"),
        (lambda someone: someone.foramen_centre("l3_l4", "up"), "side must be 'left' or 'right', got 'up'"),
        (lambda someone: someone.recess_centre("l3_l4", "L"), "side must be 'left' or 'right', got 'L'"),
        (lambda someone: someone.canal_centre("L3/L4"), "level must be one of"),
        (lambda someone: someone.disc_normal(""), "level must be one of"),
    ],
)
def test_unknown_names_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(patient())


@pytest.mark.parametrize("grades", [{}, NORMAL | {TARGETS[3]: 3}, NORMAL | {TARGETS[3]: -100}])
def test_grades_must_be_complete_and_known(grades):
    with pytest.raises(ValueError, match="must be 0, 1 or 2"):
        sample_patient(np.random.default_rng(0), grades)
