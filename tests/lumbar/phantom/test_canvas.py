import dataclasses

import numpy as np
import pytest

from lumbar.anatomy import TARGETS
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.canvas import Canvas, ellipse, ellipsoid, look, segment, slab
from lumbar.phantom.patient import sample_patient
from lumbar.phantom.tissue import signals


@pytest.fixture(scope="module")
def patient():
    return sample_patient(np.random.default_rng(4), dict.fromkeys(TARGETS, 0))


def sagittal(patient, layers=1, thickness=0.0, shape=(61, 50), spacing=2.0):
    x, y, z = patient.level_point("l3_l4")
    plane = SlicePlane.from_tags(
        (x, y - 0.5 * spacing * shape[1], z + 0.5 * spacing * shape[0]), (0, 1, 0, 0, 0, -1), (spacing, spacing)
    )
    return Canvas.over(patient, plane, np.zeros((1, layers, *shape), np.float32), thickness, signals("T1", False))


def test_pixels_know_their_place(patient):
    canvas = sagittal(patient)
    point = canvas.plane.to_patient((31, 20))
    x, y, z = canvas.x, canvas.y, canvas.z
    np.testing.assert_allclose([x.item(), y[0, 0, 31], z[0, 20, 0]], point, atol=1e-4)
    straight = [axis[0, 20, 31] for axis in (canvas.s, canvas.u, canvas.v)]
    np.testing.assert_allclose(patient.spine.to_patient(*straight), point, atol=0.1)


def test_sub_planes_spread_over_the_thickness(patient):
    canvas = sagittal(patient, layers=4, thickness=4.0)
    middle = canvas.plane.origin[0]
    np.testing.assert_allclose(np.sort(canvas.x.ravel()), middle + np.array([-1.5, -0.5, 0.5, 1.5]), atol=1e-4)


def test_a_window_holds_its_box_and_is_small(patient):
    canvas = sagittal(patient, spacing=1.0, shape=(150, 120))
    body = patient.vertebrae[7]
    box = (body.s - 10, body.s + 10), (-5.0, 5.0), (-30.0, -5.0)
    window = canvas.window(*box)
    inside = np.ones(canvas.s.shape, dtype=bool)
    for values, (low, high) in zip((canvas.s, canvas.u, canvas.v), box, strict=True):
        inside &= (values > low) & (values < high)
    window.picture[:] = 1  # a view into the canvas
    found = canvas.picture[0] > 0
    assert inside.any() and (found | ~inside).all()
    assert found.sum() < 6 * inside.sum()


def test_a_box_that_the_slice_misses_has_no_window(patient):
    assert sagittal(patient).window((-10, 10), (70, 90), (-10, 10)) is None
    assert sagittal(patient).window((400, 500), (-5, 5), (-10, 10)) is None


def test_painting_covers_inside_half_at_the_edge_and_nothing_outside(patient):
    canvas = sagittal(patient)
    distance = np.full(canvas.s.shape, 5.0, dtype=np.float32)
    distance[0, 0, :3] = (-5, 0, 0.5)  # pixels are 2 mm
    canvas.paint(distance, "fat")
    fat = canvas.signals["fat"].item()
    np.testing.assert_allclose(canvas.picture[0, 0, 0, :4], [fat, 0.5 * fat, 0.25 * fat, 0], atol=1e-6)
    canvas.paint(np.full_like(distance, -9), "fat", np.full_like(distance, 0.5))  # everywhere, at half its brightness
    np.testing.assert_allclose(canvas.picture, 0.5 * fat, atol=1e-6)


def test_a_window_lies_in_place(patient):
    canvas = sagittal(patient, spacing=1.0, shape=(150, 120))
    canvas.picture[:] = np.arange(150 * 120, dtype=np.float32).reshape(1, 1, 150, 120)
    near = canvas.window((-20, 20), (-60, 60), (-30, 10))
    x, y = near.corner
    assert near.picture[0, 0, 0, 0] == canvas.picture[0, 0, y, x] > 0
    plane = dataclasses.replace(canvas.plane, origin=canvas.plane.to_patient(near.corner))
    again = Canvas.over(patient, plane, near.picture, 0.0, near.signals)
    for name in ("s", "u", "v"):
        np.testing.assert_allclose(getattr(near, name), getattr(again, name), atol=0.05)
        assert getattr(near, name).dtype == np.float32


def test_tiny_slices_are_no_special_case(patient):
    canvas = sagittal(patient, shape=(1, 3))
    assert canvas.s.shape == (1, 1, 3)
    assert canvas.blobs.shape == (1, 1, 3)


OFFSET = np.array([3, 60, 17])


def test_the_same_place_looks_the_same_and_axes_broadcast():
    x = np.array([-20, 0, 31], dtype=np.float32).reshape(3, 1, 1)
    y, z = np.float32([[[5.0, 9.0]]]), np.float32([[[-300.0]]])
    found = look("streak", (x, y, z), OFFSET)
    assert found.shape == (3, 1, 2)
    assert found[1, 0, 1] == look("streak", (x[1:2], y[..., 1:], z), OFFSET).item()


def test_streaks_run_along_the_third_axis():
    line = np.arange(0, 60, 0.5, dtype=np.float32)
    still = np.zeros(1, dtype=np.float32)
    across = np.abs(np.diff(look("streak", (line, still, still), OFFSET))).mean()
    along = np.abs(np.diff(look("streak", (still, still, line), OFFSET))).mean()
    assert along < 0.5 * across


def points(*values):
    return np.array(values, dtype=np.float32)


def test_a_circle_is_exact_everywhere():
    distance = ellipse(points(0, 3, 6), points(0, 0, 8), 5.0, 5.0)
    np.testing.assert_allclose(distance, [-5, -2, 5], atol=1e-6)


def test_an_ellipse_is_exact_on_its_edge_and_at_its_middle():
    distance = ellipse(points(4, 0, 0), points(0, 2, 0), 4.0, 2.0)
    np.testing.assert_allclose(distance, [0, 0, -2], atol=1e-6)


def test_half_axes_may_vary_by_point():
    distance = ellipse(points(3, 3), points(0, 0), points(3, 6), points(3, 6))
    np.testing.assert_allclose(distance, [0, -3], atol=1e-6)


def test_an_ellipsoid_is_exact_on_its_edge():
    distance = ellipsoid(points(1, 0, 0), points(0, 2, 0), points(0, 0, 3), (1.0, 2.0, 3.0))
    np.testing.assert_allclose(distance, 0, atol=1e-6)


def test_a_segment_ends_round():
    distance = segment(points(0, 5, 13), points(2, -3, 4), (0.0, 0.0), (10.0, 0.0))
    np.testing.assert_allclose(distance, [2, 3, 5], atol=1e-6)


def test_a_slab_lies_between_two_values():
    np.testing.assert_allclose(slab(points(1, 2, 3, 6), 2.0, 4.0), [1, 0, -1, 2], atol=1e-6)


@pytest.mark.parametrize("shape", [lambda a: ellipse(a, a, 2.0, 3.0), lambda a: slab(a, 0.0, 1.0)])
def test_single_precision_stays(shape):
    assert shape(points(1, 2)).dtype == np.float32
