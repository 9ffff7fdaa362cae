import numpy as np
import pytest

from lumbar.items.boxes import relative_position, scale, square, to_pixels

SIZE = (100, 80)


@pytest.mark.parametrize(("rounding", "expected"), [
    ("outward", (9, 19, 31, 41)), ("nearest", (10, 20, 30, 40)), ("towards zero", (9, 19, 30, 40)),
])  # fmt: skip
def test_rounding(rounding, expected):
    box = square((20.1, 30.1), 10.2)
    np.testing.assert_allclose(box, (9.9, 19.9, 30.3, 40.3))
    assert to_pixels(box, SIZE, rounding).tolist() == list(expected)


def test_clipped_to_the_slice():
    assert to_pixels(square((5, 75), 10.0), SIZE, "nearest").tolist() == [0, 65, 15, 80]


@pytest.mark.parametrize(("centre", "expected"), [
    ((-50, 40), (0, 35, 1, 45)), ((150, 40), (99, 35, 100, 45)), ((50, 200), (45, 79, 55, 80)),
])  # fmt: skip
def test_a_box_outside_the_slice_keeps_a_pixel(centre, expected):
    assert to_pixels(square(centre, 5.0), SIZE, "outward").tolist() == list(expected)


def test_many_at_once():
    boxes = to_pixels(square([[20, 30], [5, 75]], [10, 10]), [SIZE, SIZE], "nearest")
    assert boxes.tolist() == [[10, 20, 30, 40], [0, 65, 15, 80]]


def test_scale():
    box = np.array([10.3, 20.7, 30.1, 40.9])
    assert (scale(box, SIZE, SIZE) == box).all()
    assert scale(np.array([10.0, 20, 30, 40]), SIZE, (200, 40)).tolist() == [20, 10, 60, 20]


def test_relative_position():
    box = np.array([10, 20, 30, 60])
    assert relative_position(np.array([[10.0, 20], [30, 60], [20, 30]]), box).tolist() == [[0, 0], [1, 1], [0.5, 0.25]]
