import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from lumbar.phantom.spine import STEP, Spine, along, index, nodes


def straight(shift=0.0, angle=0.0, slip=0.0):
    flat = np.zeros_like(nodes())
    return Spine(np.array([1.0, 10.0, -5.0]), flat + angle, flat + shift, flat + slip)


def curved():
    s = [-200, -100, -40, 0, 60, 200]
    angle = CubicSpline(s, np.radians([0, -40, -15, 0, 12, 5]))(np.clip(nodes(), s[0], s[-1]))
    return Spine(np.array([3.0, 12.0, 4.0]), angle, 6 * np.sin(nodes() / 45), np.where(nodes() > -50, -3.0, 0.0))


def flat_arrays(points):
    return [points[:, axis].astype(np.float32).reshape(1, 1, -1) for axis in range(3)]


def test_a_straight_upright_spine_is_a_shift_of_axes():
    point = straight().to_patient(20.0, 7.0, 8.0)
    np.testing.assert_allclose(point, [8.0, 18.0, 15.0], atol=1e-9)


def test_a_lean_turns_up_and_back():
    lean = np.radians(30)
    point = straight(angle=lean).to_patient(10.0, 0.0, 0.0)
    np.testing.assert_allclose(point - [1, 10, -5], [0, 10 * np.sin(lean), 10 * np.cos(lean)], atol=1e-6)
    behind = straight(angle=lean).to_patient(0.0, 0.0, 10.0)
    np.testing.assert_allclose(behind - [1, 10, -5], [0, 10 * np.cos(lean), -10 * np.sin(lean)], atol=1e-6)


def test_slip_moves_the_anatomy_forwards():
    np.testing.assert_allclose(straight(slip=-4.0).to_patient(0.0, 0.0, 0.0), [1.0, 6.0, -5.0], atol=1e-9)


def test_the_look_up_undoes_the_way_there_within_a_tenth_of_a_millimetre():
    rng = np.random.default_rng(0)
    s, u, v = rng.uniform((-110, -40, -35), (120, 40, 40), (4000, 3)).T
    s = s[np.abs(s + 50) > 4]  # the made-up slip is a step there
    u, v = u[: len(s)], v[: len(s)]
    spine = curved()
    found = spine.to_straight(*flat_arrays(spine.to_patient(s, u, v)))
    for there, back in zip((s, u, v), found, strict=True):
        assert np.abs(back.ravel() - there).max() < 0.1


def test_axes_that_do_not_vary_broadcast():
    x = np.array([-4, 0, 4], dtype=np.float32).reshape(3, 1, 1)
    y = np.linspace(-20, 40, 5, dtype=np.float32).reshape(1, 1, 5)
    z = np.linspace(30, -30, 4, dtype=np.float32).reshape(1, 4, 1)
    found = curved().to_straight(x, y, z)
    whole = curved().to_straight(*(np.ascontiguousarray(np.broadcast_to(axis, (3, 4, 5))) for axis in (x, y, z)))
    for one, other in zip(found, whole, strict=True):
        assert one.shape == (3, 4, 5)
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_tables_hold_given_values_do_not_overshoot_and_stay_constant_outside():
    table = along([10, -10, 0], [4, 4, 2])
    assert table[index(0.0)] == pytest.approx(2, abs=1e-3)
    assert table[index(10.0)] == pytest.approx(4, abs=1e-3)
    assert table.min() >= 2 - 1e-6 and table.max() <= 4 + 1e-6
    assert table[0] == table[-1] == 4


def test_index_rounds_to_the_nearest_node_and_stops_at_the_ends():
    at = index(np.array([-1e6, 0.0, 0.4 * STEP, 0.6 * STEP, 1e6]))
    assert at[0] == 0 and at[-1] == len(nodes()) - 1
    assert at[1] == at[2] == at[3] - 1
    assert nodes()[at[1]] == 0


def test_a_local_table_changes_between_the_neighbours_only():
    s = [-60, -40, -20, 0, 20, 40, 60]
    one, other = along(s, [1, 2, 3, 5, 6, 7, 9], local=True), along(s, [1, 2, 3, 4, 6, 7, 9], local=True)
    changed = nodes()[one != other]
    assert changed.min() >= -20 and changed.max() <= 20 and len(changed) > 100
    assert one[index(0.0)] == 5 and other[index(0.0)] == 4
