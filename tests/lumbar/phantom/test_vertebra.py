import dataclasses

import numpy as np
import pytest

from lumbar.phantom.vertebra import MEANS, Vertebra

BONE = Vertebra("L3", 0.0, 28.0, 34.0, 46.0, 0.0, 1.5, 1.0, 0.08, 10.0, 24.0, 28.0, 0.2, 1.0)


def test_walls_in_the_mid_line_and_at_the_side():
    assert BONE.wall(0.0, front=True) == pytest.approx(-34)
    assert BONE.wall(0.0, front=False) == pytest.approx(-1)  # the posterior wall is hollow
    assert BONE.wall(23.0, front=True) == BONE.wall(23.0, front=False) == pytest.approx(-17)


def test_the_back_is_flatter_than_the_front():
    front = BONE.wall(0.0, True) - BONE.wall(14.0, True)
    back = BONE.wall(0.0, False) + 1 - BONE.wall(14.0, False)
    assert abs(back) < 0.25 * abs(front)


def test_a_wedge_is_higher_in_front_and_keeps_the_mean():
    wedged = dataclasses.replace(BONE, wedge=0.05)
    front, back = wedged.half_height(-34.0), wedged.half_height(0.0)
    assert front - back == pytest.approx(0.05 * 34)
    assert 0.5 * (front + back) == pytest.approx(14)
    assert BONE.half_height(np.array([-34.0, 0.0])).tolist() == [14, 14]


def test_means_grow_towards_the_sacrum():
    lumbar = [MEANS[label] for label in ("L1", "L2", "L3", "L4", "L5")]
    for name in ("width", "depth", "pedicle_width", "canal_width"):
        values = [getattr(mean, name) for mean in lumbar]
        assert values == sorted(values)
    assert 45 < MEANS["L1"].lean - MEANS["S1"].lean < 65  # lordosis, degrees
