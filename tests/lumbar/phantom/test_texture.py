import numpy as np
import pytest

from lumbar.phantom.texture import look, volume

OFFSET = np.array([3, 60, 17])


@pytest.mark.parametrize("texture", ["grain", "streak", "blob"])
def test_volumes_are_standardised_and_made_once(texture):
    noise = volume(texture)
    assert noise is volume(texture)
    assert abs(noise.mean()) < 1e-3 and noise.std() == pytest.approx(1, abs=1e-3)
    assert noise.dtype == np.float32


def test_the_same_place_looks_the_same_and_axes_broadcast():
    x = np.array([-20, 0, 31], dtype=np.float32).reshape(3, 1, 1)
    y, z = np.float32([[[5.0, 9.0]]]), np.float32([[[-300.0]]])
    found = look("streak", x, y, z, OFFSET)
    assert found.shape == (3, 1, 2)
    assert found[1, 0, 1] == look("streak", x[1:2], y[..., 1:], z, OFFSET).item()


def test_streaks_run_along_the_third_axis():
    line = np.arange(0, 60, 0.5, dtype=np.float32)
    still = np.zeros(1, dtype=np.float32)
    across = np.abs(np.diff(look("streak", line, still, still, OFFSET))).mean()
    along = np.abs(np.diff(look("streak", still, still, line, OFFSET))).mean()
    assert along < 0.5 * across


def test_an_offset_is_another_patient():
    still = np.zeros(1, dtype=np.float32)
    line = np.arange(0, 60, dtype=np.float32)
    assert not np.array_equal(look("grain", line, still, still, OFFSET), look("grain", line, still, still, OFFSET + 9))
