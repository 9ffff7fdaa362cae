import numpy as np
import pytest

from lumbar.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2, VERTEBRAE
from lumbar.images.geometry import SlicePlane, orientation_name
from lumbar.phantom.plan import (
    MATRICES,
    PlannedSlice,
    Scene,
    SeriesPlan,
    numbered,
    plan_axial,
    plan_sagittal,
    plan_series,
)

SEEDS = range(12)


def orientation(planned):
    return orientation_name([*planned.plane.row_dir, *planned.plane.col_dir])


@pytest.fixture
def sagittal_slice():
    plane = SlicePlane(np.array([0.0, -50, 50]), np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 1.0, 1.0)
    return PlannedSlice(plane, (101, 101))


@pytest.mark.parametrize("seed", SEEDS)
def test_three_series_of_the_right_kinds(straight_patient, seed):
    series = plan_series(Scene(straight_patient), np.random.default_rng(seed))
    assert [each.kind for each in series] == [SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2]
    assert series[0].contrast == "T1" and series[1].contrast in ("T2", "STIR") and series[2].contrast == "T2"
    for each, plane in zip(series, ("sagittal", "sagittal", "axial"), strict=True):
        assert {orientation(planned) for planned in each.slices} == {plane}
        assert [planned.instance_number for planned in each.slices] == list(range(1, len(each.slices) + 1))
        assert 3.5 <= each.thickness <= each.spacing <= 5


@pytest.mark.parametrize("size", MATRICES)
@pytest.mark.parametrize("seed", SEEDS)
def test_sagittal_series_covers_t12_to_s1_and_both_foramina(straight_patient, seed, size):
    series = plan_sagittal(Scene(straight_patient, size=size), np.random.default_rng(seed))
    assert 15 <= len(series.slices) <= 20
    assert series.slices[0].shape[0] in MATRICES[size]
    for level in LEVELS:
        for side in ("left", "right"):
            assert series.find(straight_patient.centres(level)[f"{side}_foramen"]) is not None
    for vertebra in VERTEBRAE[1:-1]:
        for corner in straight_patient.vertebra_corners(vertebra, 0.0):
            assert series.find(corner) is not None


@pytest.mark.parametrize("seed", SEEDS)
def test_sagittal_images_show_the_front_on_the_left_and_the_head_on_top(straight_patient, seed):
    plane = plan_sagittal(Scene(straight_patient), np.random.default_rng(seed)).slices[0].plane
    assert plane.row_dir[1] > 0.98 and plane.col_dir[2] < -0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_axial_images_show_the_patients_left_on_the_right_and_cover_the_asked_levels(straight_patient, seed):
    levels = LEVELS[1:]
    series = plan_axial(Scene(straight_patient, levels=levels), np.random.default_rng(seed))
    plane = series.slices[0].plane
    assert plane.row_dir[0] > 0.95 and plane.col_dir[1] > 0.8 and plane.normal[2] > 0.8
    for level in levels:
        assert series.find(straight_patient.centres(level)["left_recess"]) is not None
    assert series.find(straight_patient.level_point(LEVELS[0])) is None


def test_slices_are_spaced_as_the_header_says(straight_patient):
    for seed in SEEDS:
        series = plan_sagittal(Scene(straight_patient), np.random.default_rng(seed))
        first = series.slices[0].plane
        steps = np.diff([first.distance(each.plane.origin) for each in series.slices])
        assert np.abs(steps) == pytest.approx(series.spacing, abs=1e-3)


def test_both_directions_of_counting_occur(straight_patient):
    x, z = [], []
    for seed in range(30):
        for plan, values, axis in ((plan_sagittal, x, 0), (plan_axial, z, 2)):
            slices = plan(Scene(straight_patient), np.random.default_rng(seed)).slices
            values.append(np.sign(slices[-1].plane.origin[axis] - slices[0].plane.origin[axis]))
    assert set(x) == set(z) == {-1, 1}


def test_find_knows_the_field(sagittal_slice):
    series = SeriesPlan(SAGITTAL_T1, "T1", numbered([sagittal_slice]), 4.0, 4.0)
    assert series.find((2.9, 0, 0)).instance_number == 1
    assert series.find((3.1, 0, 0)) is None  # more than 0.75 spacings away
    assert series.find((0, 50, 50)) is not None  # the centre of the last pixel of the first row
    assert series.find((0, 50.1, 0)) is None
    assert series.nearest((-2, 0, 0)) == (0, 2.0)
