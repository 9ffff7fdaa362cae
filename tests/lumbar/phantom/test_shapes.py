import numpy as np
import pytest

from lumbar.phantom.shapes import ellipse, ellipsoid, length, segment, slab


def points(*values):
    return np.array(values, dtype=np.float32)


def test_length_is_that_of_a_vector():
    assert length(points(3.0), points(4.0)).tolist() == [5]


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
