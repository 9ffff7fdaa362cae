from collections import Counter

import numpy as np
import pytest

from lumbar.anatomy import AXIAL_T2, LEVELS, MISSING, SAGITTAL_T1, SAGITTAL_T2, TARGETS, VERTEBRAE
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.marks import coordinate_rows, detect, draw_faults, level_points, outline, truth_rows
from lumbar.phantom.plan import PlannedSlice, Scene, SeriesPlan, Study, numbered, plan_sagittal

ALL_NORMAL = dict.fromkeys(TARGETS, 0)
OFFSET = np.array([5.0, -3.0, 20.0])


def stack(origins, row_dir, col_dir, size=301):
    rows, cols = np.array(row_dir, float), np.array(col_dir, float)
    planes = [SlicePlane(np.array(origin, float), rows, cols, 1.0, 1.0) for origin in origins]
    return numbered(PlannedSlice(plane, (size, size)) for plane in planes)


@pytest.fixture
def study(straight_patient):
    sagittal = stack([(x, -150, 150) for x in range(-30, 31, 4)], (0, 1, 0), (0, 0, -1))
    axial = stack([(-150, -150, z) for z in range(80, -121, -4)], (1, 0, 0), (0, 1, 0))
    series = (
        SeriesPlan(SAGITTAL_T1, "T1", sagittal, 4.0, 4.0, series_id=11),
        SeriesPlan(SAGITTAL_T2, "T2", sagittal, 4.0, 4.0, series_id=12),
        SeriesPlan(AXIAL_T2, "T2", axial, 4.0, 4.0, series_id=13),
    )
    return Study(7, straight_patient, series, OFFSET)


def truth(study):
    return list(truth_rows(study, {each.series_id: outline(study.patient, each.slices) for each in study.sagittal}))


def test_outline_of_a_straight_slice_is_the_projected_box(straight_patient, study):
    beside, middle = outline(straight_patient, [study.series[0].slices[i] for i in (0, 7)])
    assert middle["L3"] == pytest.approx(np.array([(150, 138), (150, 162), (120, 162), (120, 138)]))
    assert beside == {}  # x = -30


def test_outline_of_an_oblique_slice_lies_where_the_slice_meets_the_body(straight_patient):
    row_dir, normal = np.array([0.2, 1, 0]) / np.hypot(0.2, 1), np.array([-1, 0.2, 0]) / np.hypot(0.2, 1)
    plane = SlicePlane(10 * normal - 100 * row_dir, row_dir, np.array([0.0, 0, -1]), 1.0, 1.0)
    (found,) = outline(straight_patient, [PlannedSlice(plane, (301, 301))])
    middle = plane.to_patient(found["L3"].mean(axis=0))
    assert middle == pytest.approx([-10 * np.hypot(0.2, 1) - 3, -15, 0], abs=0.01)


def test_level_point_is_seven_tenths_of_the_upper_corner_and_three_of_the_lower(study):
    outlines = outline(study.patient, study.sagittal[0].slices)[7]
    points = level_points(outlines)
    assert list(points) == list(LEVELS)
    for level, upper, lower in (("l1_l2", "L1", "L2"), ("l5_s1", "L5", "S1")):
        assert points[level] == pytest.approx(0.7 * outlines[upper][1] + 0.3 * outlines[lower][0])
    assert list(level_points({name: outlines[name] for name in ("L1", "L2", "L4")})) == ["l1_l2"]


def test_truth_projects_onto_the_centres(study, straight_patient):
    rows = truth(study)
    planes = {(each.series_id, s.instance_number): s for each in study.series for s in each.slices}
    for row in rows:
        planned = planes[row["series_id"], row["instance_number"]]
        point = np.array([row["mm_x"], row["mm_y"], row["mm_z"]]) - OFFSET
        assert planned.plane.to_pixels(point) == pytest.approx([row["x"], row["y"]], abs=2e-3)
        assert abs(planned.plane.distance(point)) <= 2 + 1e-3
        assert (row["img_h"], row["img_w"], row["study_id"]) == (301, 301, 7)
        if row["structure"] != "level":
            assert point == pytest.approx(straight_patient.centres(row["level"])[row["structure"]], abs=1e-3)
        elif row["series_id"] == 13:
            assert point == pytest.approx(straight_patient.level_point(row["level"]), abs=1e-3)


def test_truth_lists_level_points_on_every_sagittal_slice_that_meets_the_spine(study):
    rows = truth(study)
    numbers = {r["instance_number"] for r in rows if r["series_id"] == 11 and r["structure"] == "level"}
    assert numbers == {i + 1 for i, x in enumerate(range(-30, 31, 4)) if abs(x) <= 22}
    for series_id in (11, 12, 13):
        for structure in ("canal", "left_foramen", "right_foramen", "left_recess", "right_recess"):
            found = [r["level"] for r in rows if r["series_id"] == series_id and r["structure"] == structure]
            assert found == list(LEVELS)
    assert [r["level"] for r in rows if r["series_id"] == 13 and r["structure"] == "level"] == list(LEVELS)


def test_people_mark_each_condition_on_its_series_near_its_centre(study, straight_patient):
    planes = {(each.series_id, s.instance_number): s.plane for each in study.series for s in each.slices}
    where = {"Foraminal": (11, "foramen"), "Canal": (12, "canal"), "Subarticular": (13, "recess")}
    errors = []
    for seed in range(20):
        rows = list(coordinate_rows(study, ALL_NORMAL, np.random.default_rng(seed)))
        assert 20 <= len(rows) <= 25
        for row in rows:
            series_id, kind = next(value for word, value in where.items() if word in row["condition"])
            side = row["condition"].split()[0].lower()
            structure = "canal" if kind == "canal" else f"{side}_{kind}"
            centre = straight_patient.centres(row["level"].lower().replace("/", "_"))[structure]
            plane = planes[row["series_id"], row["instance_number"]]
            assert row["series_id"] == series_id
            assert abs(plane.distance(centre)) < 8
            errors.append(np.hypot(*(plane.to_pixels(centre) - (row["x"], row["y"]))))
    assert 1 < np.median(errors) < 3 and max(errors) < 9


def test_missing_labels_points_outside_the_image_and_absent_series_are_not_marked(study, straight_patient):
    rng = np.random.default_rng(0)
    assert not list(coordinate_rows(study, dict.fromkeys(TARGETS, MISSING), rng))
    only_axial = Study(7, straight_patient, study.series[2:], OFFSET)
    assert {r["series_id"] for r in coordinate_rows(only_axial, ALL_NORMAL, rng)} == {13}
    cropped = SeriesPlan(AXIAL_T2, "T2", stack([(-150, -150, 44)], (1, 0, 0), (0, 1, 0), 100), 4.0, 4.0, series_id=1)
    nothing = Study(7, straight_patient, (cropped,), OFFSET)
    assert not list(coordinate_rows(nothing, ALL_NORMAL, rng)) and not truth(nothing)


@pytest.fixture
def detectable(straight_patient):
    """A sagittal series and the exact outlines in its slices."""
    series = plan_sagittal(Scene(straight_patient), np.random.default_rng(4))
    return series, outline(straight_patient, series.slices)


def test_detections_are_near_the_true_corners_and_plain(detectable):
    series, outlines = detectable
    errors, slices = [], set()
    for found in detect(series, outlines, 0, np.random.default_rng(0)):
        assert set(found) == {"predicted_label", "slice_nos", "polys"}
        assert found["slice_nos"] == list(range(found["slice_nos"][0], found["slice_nos"][-1] + 1))
        slices.update(found["slice_nos"])
        for index, polygon in zip(found["slice_nos"], found["polys"], strict=True):
            plane = series.slices[index].plane
            assert type(index) is int and type(polygon) is list and type(polygon[0][0]) is float
            true = outlines[index][found["predicted_label"]]
            errors.append(np.linalg.norm(true - polygon, axis=1) * plane.col_spacing)
    assert 0.5 < np.median(errors) < 2 and np.max(errors) < 6
    assert 8 <= len(slices) < len(series.slices)  # lateral slices are absent


def test_a_shift_renames_every_vertebra_by_one(detectable):
    series, outlines = detectable
    plain, up, down = (detect(series, outlines, shift, np.random.default_rng(0)) for shift in (0, -1, 1))
    names = [each["predicted_label"] for each in plain]
    assert names == [name for name in reversed(VERTEBRAE) if name in names] and {"L1", "L5", "S1"} <= set(names)
    by_label = {each["predicted_label"]: each["polys"] for each in plain}
    for shift, shifted in ((-1, up), (1, down)):
        for each in shifted:
            true = VERTEBRAE[VERTEBRAE.index(each["predicted_label"]) - shift]
            assert each["polys"] == by_label[true]


def test_faults_are_dealt_in_their_shares():
    counts = Counter(draw_faults(200, np.random.default_rng(0)))
    assert counts == {0: 186, -1: 5, 1: 5, None: 4}
    assert draw_faults(3, np.random.default_rng(0)) == [0, 0, 0]
    assert len(set(draw_faults(48, np.random.default_rng(0)))) == 4  # a phantom of 24 studies has every kind
