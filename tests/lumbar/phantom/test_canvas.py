import numpy as np
import pytest

from lumbar.anatomy import TARGETS
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.canvas import Canvas, look
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
    return Canvas(patient, plane, np.zeros((1, layers, *shape), np.float32), thickness, signals("T1", False))


def test_pixels_know_their_place(patient):
    canvas = sagittal(patient)
    point = canvas.plane.to_patient((31, 20))
    x, y, z = canvas.everywhere().xyz()
    np.testing.assert_allclose([x.item(), y[0, 0, 31], z[0, 20, 0]], point, atol=1e-4)
    straight = [axis[0, 20, 31] for axis in (canvas.s, canvas.u, canvas.v)]
    np.testing.assert_allclose(patient.spine.to_patient(*straight), point, atol=0.1)


def test_sub_planes_spread_over_the_thickness(patient):
    canvas = sagittal(patient, layers=4, thickness=4.0)
    middle = canvas.plane.origin[0]
    np.testing.assert_allclose(np.sort(canvas.axes[0].ravel()), middle + np.array([-1.5, -0.5, 0.5, 1.5]), atol=1e-4)


def test_a_window_holds_its_box_and_is_small(patient):
    canvas = sagittal(patient, spacing=1.0, shape=(150, 120))
    body = patient.vertebrae[7]
    box = (body.s - 10, body.s + 10), (-5.0, 5.0), (-30.0, -5.0)
    window = canvas.window(*box)
    inside = np.ones(canvas.s.shape, dtype=bool)
    for values, (low, high) in zip((canvas.s, canvas.u, canvas.v), box, strict=True):
        inside &= (values > low) & (values < high)
    found = np.zeros_like(inside)
    found[:, window.rows, window.cols] = True
    assert inside.any() and (found | ~inside).all()
    assert found.sum() < 6 * inside.sum()


def test_a_box_that_the_slice_misses_has_no_window(patient):
    assert sagittal(patient).window((-10, 10), (70, 90), (-10, 10)) is None
    assert sagittal(patient).window((400, 500), (-5, 5), (-10, 10)) is None


def test_painting_covers_inside_half_at_the_edge_and_nothing_outside(patient):
    canvas = sagittal(patient)
    window = canvas.everywhere()
    distance = np.full(window.s.shape, 5.0, dtype=np.float32)
    distance[0, 0, :3] = (-5, 0, 0.5)  # pixels are 2 mm
    window.paint(distance, "fat")
    fat = canvas.signals["fat"].item()
    np.testing.assert_allclose(canvas.picture[0, 0, 0, :4], [fat, 0.5 * fat, 0.25 * fat, 0], atol=1e-6)
    window.paint(distance, "air")
    assert canvas.picture[0, 0, 0, 0] == 0


def test_gain_scales_the_tissue(patient):
    canvas = sagittal(patient)
    window = canvas.everywhere()
    inside = np.full(window.s.shape, -9.0, dtype=np.float32)
    window.paint(inside, "fat", np.full_like(inside, 0.5))
    assert canvas.picture.max() == pytest.approx(0.5 * canvas.signals["fat"].item())


def test_a_thick_canvas_starts_from_what_is_painted_and_lies_in_place(patient):
    canvas = sagittal(patient, spacing=1.0, shape=(150, 120))
    canvas.picture[:] = np.arange(150 * 120, dtype=np.float32).reshape(1, 1, 150, 120)
    near = canvas.window((-20, 20), (-60, 60), (-30, 10))
    thick = canvas.thick(near, 3, 4.0)
    assert thick.picture.shape[1] == 3
    np.testing.assert_array_equal(thick.picture[0, 1], canvas.picture[0, 0, near.rows, near.cols])
    np.testing.assert_allclose(thick.s[1], canvas.s[0, near.rows, near.cols], atol=0.05)
    assert thick.s.dtype == thick.u.dtype == thick.v.dtype == np.float32


def test_tiny_slices_are_no_special_case(patient):
    canvas = sagittal(patient, shape=(1, 3))
    assert canvas.everywhere().s.shape == (1, 1, 3)
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


def test_an_offset_is_another_patient():
    still = np.zeros(1, dtype=np.float32)
    line = np.arange(0, 60, dtype=np.float32)
    assert not np.array_equal(
        look("grain", (line, still, still), OFFSET), look("grain", (line, still, still), OFFSET + 9)
    )
