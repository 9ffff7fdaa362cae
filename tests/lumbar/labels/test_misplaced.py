import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVEL_LABELS
from lumbar.labels.human import human_points
from lumbar.labels.misplaced import IN_CORNER, OUTSIDE, at_border, describe, misplaced

WIDTH, HEIGHT = 400, 500


def canal_points(count=5, series=10):
    """A lumbar spine 60 px a level, curved as real ones are, on one slice."""
    rows = [(1, series, 8, "Spinal Canal Stenosis", label, 200 + 5 * (level - 2) ** 2, 120 + 60 * level)
            for level, label in enumerate(LEVEL_LABELS[:count])]  # fmt: skip
    columns = ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
    return human_points(pd.DataFrame(rows, columns=columns)).assign(img_w=WIDTH, img_h=HEIGHT)


def moved(points, index, **place):
    result = points.copy()
    for axis, value in place.items():
        result.loc[index, axis] = float(value)
    return result


@pytest.mark.parametrize(("xy", "reason"), [
    ((5, 5), IN_CORNER), ((395, 5), IN_CORNER), ((5, 495), IN_CORNER), ((399, 499), IN_CORNER), ((-3, -3), IN_CORNER),
    ((11.9, 14.9), IN_CORNER), ((12.1, 14.9), ""), ((11.9, 15.1), ""), ((5, 250), ""), ((200, 499), ""),
    ((401, 250), OUTSIDE), ((200, -1), OUTSIDE),
])  # fmt: skip
def test_both_coordinates_within_three_percent_of_a_corner(xy, reason):
    assert at_border([xy], [(WIDTH, HEIGHT)]).tolist() == [reason]


def test_a_curved_spine_is_not_misplaced():
    assert (misplaced(canal_points()) == "").all()
    assert misplaced(canal_points().iloc[:0]).empty


@pytest.mark.parametrize("level", range(5))
def test_a_point_over_a_level_gap_off_is_found_wherever_it_is(level):
    points = canal_points()
    for gaps, found in ((0.9, False), (1.8, True)):
        reasons = misplaced(moved(points, level, y=points.loc[level, "y"] + (-1) ** level * 60 * gaps))
        assert (reasons != "").tolist() == [found and other == level for other in range(5)]
        assert all("level gaps from where the other levels" in reason for reason in reasons if reason)


def test_the_limit_is_a_level_gap_and_a_fifth():
    straight = canal_points().assign(x=200.0)
    for gaps, reason in ((1.19, ""), (1.26, "1.3 level gaps from where the other levels of its series have it")):
        assert misplaced(moved(straight, 2, x=200 + 60 * gaps))[2] == reason


def test_corner_clicks_are_found_and_do_not_lead_the_others_astray():
    points = moved(moved(canal_points(), 0, x=5, y=5), 4, x=5, y=5)
    assert misplaced(points).tolist() == [IN_CORNER, "", "", "", IN_CORNER]


def test_three_levels_cannot_tell_which_of_them_is_wrong():
    assert (misplaced(moved(canal_points(3), 1, x=20)) == "").all()


def test_points_are_held_against_their_own_series():
    both = pd.concat([canal_points(), canal_points(series=11).assign(y=lambda rows: rows["y"] + 60)])
    assert (misplaced(both.reset_index(drop=True)) == "").all()


def test_levels_at_one_place_are_held_against_each_other():
    heap = canal_points().assign(x=200.0, y=200.0)
    assert (misplaced(heap) == "").all()
    assert np.flatnonzero(misplaced(moved(heap, 3, x=210)) != "").tolist() == [3]


def test_a_reason_is_told_with_the_slice_and_the_target():
    points = moved(canal_points(), 3, x=5, y=5)
    assert describe(points, misplaced(points)) == [
        "1/10/8 Spinal Canal Stenosis L4/L5 at (5, 5): in a corner of its image"
    ]
