import numpy as np
import pytest

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T2
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.irregular import ODDITIES, deal, resized, tilted
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


def test_t2_and_stir(made):
    _series, odd = made
    assert {each.contrast for each in odd("T2 and STIR") if each.kind == SAGITTAL_T2} == {"T2", "STIR"}


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
    assert deal(10, 0.0, np.random.default_rng(0)) == [None] * 10
    some = [name for name in deal(24, 0.15, np.random.default_rng(0)) if name]
    assert len(some) == len(set(some)) == 4
    assert set(deal(len(ODDITIES), 1.0, np.random.default_rng(0))) == set(ODDITIES)


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
