from itertools import pairwise

import numpy as np
import pytest

from lumbar.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1
from lumbar.images.geometry import SlicePlane, orientation_name
from lumbar.phantom.irregular import ODD_MARKS, ODDITIES, TRAIN_ODDITIES, deal, resized, tilted
from lumbar.phantom.plan import PlannedSlice, Scene, plan_series


@pytest.fixture(params=range(3))
def made(request, straight_patient):
    """The regular series and a function that makes them odd."""
    scene = Scene(straight_patient)
    series = plan_series(scene, np.random.default_rng(request.param))
    return series, lambda name: ODDITIES[name](series, scene, np.random.default_rng(request.param))


def numbers(series):
    return [each.instance_number for each in series.slices]


def test_missing_series_type(made):
    _series, odd = made
    assert len(odd("missing series type")) == 2


def test_two_axial_series(made):
    _series, odd = made
    assert [each.kind for each in odd("two axial series")].count(AXIAL_T2) == 2


def test_two_t1_series(made):
    _series, odd = made
    kinds = [each.kind for each in odd("two T1 series")]
    assert kinds.count(SAGITTAL_T1) == 2 and len(kinds) == 4


def test_axial_series_in_two_parts(made, straight_patient):
    _series, odd = made
    upper, lower = (each for each in odd("axial series in two parts") if each.kind == AXIAL_T2)
    covered = [[part.find(straight_patient.level_point(level)) is not None for level in LEVELS]
               for part in (upper, lower)]  # fmt: skip
    assert covered[0][:3] == [True] * 3 and covered[1][2:] == [True] * 3
    assert not covered[0][4] and not covered[1][0]


def test_restarted_numbers_lie_between_the_slices_of_the_first_stack(made):
    series, odd = made
    before, after = series[2], odd("restarted instance numbers")[2]
    first, second = after.slices[: len(before.slices)], after.slices[len(before.slices) :]
    assert [each.plane for each in first] == [each.plane for each in before.slices]
    assert numbers(after) == list(range(1, len(after.slices) + 1))
    assert [each.header_number for each in second] == list(range(1, len(before.slices) // 2 + 1))
    assert {each.header_number for each in first} == {None}
    for each in second:
        nearest = min(abs(each.plane.distance(other.plane.origin)) for other in first)
        assert nearest == pytest.approx(before.spacing / 2, abs=1e-3)
    assert odd("restarted instance numbers")[:2] == series[:2]


def test_scouts_lie_in_another_plane_and_are_no_slice_of_the_stack(made, straight_patient):
    series, odd = made
    for before, after in zip(series, odd("scout in each series"), strict=True):
        scout = after.slices[-1]
        assert after.stack == before.slices and scout.scout and numbers(after)[-1] == len(after.slices)
        plane = orientation_name([*scout.plane.row_dir, *scout.plane.col_dir])
        assert plane == ("sagittal" if before.kind == AXIAL_T2 else "axial")
        for level in LEVELS:
            assert not getattr(after.find(straight_patient.level_point(level)), "scout", False)


def test_enhanced_series_are_numbered_by_place(made):
    _series, odd = made
    for after in odd("enhanced multi-frame"):
        assert after.files == ["1.dcm"] and numbers(after) == list(range(1, len(after.slices) + 1))
        normals = [each.plane.normal for each in after.slices]
        steps = [each.plane.distance(other.plane.origin) for each, other in pairwise(after.slices)]
        assert all(step > 0 for step, one, other in zip(steps, normals, normals[1:], strict=False)
                   if np.allclose(one, other))  # fmt: skip


def test_corner_clicks_are_one_or_two_canal_points():
    titles = ["Spinal Canal Stenosis"] * 4 + ["Left Subarticular Stenosis"] * 3
    rows = [{"condition": title, "x": 50.0, "y": 60.0} for title in titles]
    clicked = [row for row in ODD_MARKS["corner clicks"](rows, np.random.default_rng(0)) if row["x"] != 50]
    assert 1 <= len(clicked) <= 2
    assert all(row["condition"] == titles[0] and row["x"] < 4.8 and row["y"] < 4.8 for row in clicked)
    assert ODD_MARKS["corner clicks"]([], np.random.default_rng(0)) == []


def test_two_stacks_of_different_tilt_in_one_series(made):
    series, odd = made
    before, after = series[2], odd("two stacks in one series")[2]
    assert len(after.slices) == len(before.slices) + len(before.slices) // 3
    normals = np.array([each.plane.normal for each in after.slices])
    assert (normals[len(before.slices) :] @ normals[: len(before.slices)].T).min() < np.cos(np.deg2rad(11.9))
    assert numbers(after) == list(range(1, len(after.slices) + 1))


def test_gaps(made):
    series, odd = made
    for before, after in zip(series, odd("instance number gaps"), strict=True):
        assert len(after.slices) == len(before.slices) - 2
        assert numbers(after)[0] == 1 and numbers(after)[-1] == len(before.slices)


def test_reversed_and_high_numbers(made):
    series, odd = made
    for before, after in zip(series, odd("reversed instance numbers"), strict=True):
        assert numbers(after) == numbers(before)
        assert after.slices[0].plane is before.slices[-1].plane
    for before, after in zip(series, odd("high instance numbers"), strict=True):
        assert 100 <= numbers(after)[0] <= 5049 and len(after.slices) == len(before.slices)


def test_slices_of_another_size(made):
    _series, odd = made
    for after in odd("slices of another size"):
        assert len({each.shape for each in after.slices}) == 2


def test_duplicated_positions(made):
    series, odd = made
    for before, after in zip(series, odd("duplicated positions"), strict=True):
        positions = {tuple(each.plane.origin) for each in after.slices}
        assert len(positions) == len(before.slices) == len(after.slices) - 1
        assert numbers(after) == list(range(1, len(after.slices) + 1))


def test_the_others_change_only_how_files_are_stored(made):
    series, odd = made
    for name in ("JPEG 2000", "RLE", "missing tags", "MONOCHROME1", "signed pixels", "several windows", "no window"):
        for before, after in zip(series, odd(name), strict=True):
            assert after.slices is before.slices and after.encoding != before.encoding


def test_deal_gives_each_irregular_study_the_next_oddity():
    assert deal(8, 2, 0.0, np.random.default_rng(0)) == [None] * 10
    some = [name for name in deal(24, 0, 0.15, np.random.default_rng(0)) if name]
    assert len(some) == len(set(some)) == 4
    all_of_them = deal(len(TRAIN_ODDITIES), len(ODDITIES), 1.0, np.random.default_rng(0))
    assert set(all_of_them[: len(TRAIN_ODDITIES)]) == set(TRAIN_ODDITIES)
    assert set(all_of_them[len(TRAIN_ODDITIES) :]) == set(ODDITIES)
    assert set(TRAIN_ODDITIES) == {*ODDITIES, *ODD_MARKS} - {"enhanced multi-frame"}
    assert deal(3, 1, 1.0, np.random.default_rng(0))[3] == "enhanced multi-frame"


@pytest.fixture
def sagittal_slice():
    plane = SlicePlane(np.array([0.0, -50, 50]), np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 1.0, 1.0)
    return PlannedSlice(plane, (101, 101))


def test_resized_covers_the_same_field(sagittal_slice):
    half = resized(sagittal_slice, 0.5)
    assert half.shape == (50, 50)
    assert half.plane.to_patient((-0.5, -0.5)) == pytest.approx(sagittal_slice.plane.to_patient((-0.5, -0.5)), abs=1e-3)
    assert half.plane.to_patient((49.5, 49.5)) == pytest.approx([0, 50.5, -50.5], abs=1e-2)
    assert resized(sagittal_slice, 1.0).plane.origin == pytest.approx(sagittal_slice.plane.origin)


def test_tilted_turns_about_the_middle_row(sagittal_slice):
    turned = tilted(sagittal_slice, 30)
    assert turned.plane.to_patient((50, 50)) == pytest.approx([0, 0, 0], abs=1e-3)
    assert turned.plane.row_dir == pytest.approx(sagittal_slice.plane.row_dir)
    assert turned.plane.normal @ sagittal_slice.plane.normal == pytest.approx(np.cos(np.pi / 6), abs=1e-5)
    assert turned.plane.normal @ sagittal_slice.plane.col_dir == pytest.approx(-0.5, abs=1e-5)
    assert tilted(sagittal_slice, 0).plane.origin == pytest.approx(sagittal_slice.plane.origin)
