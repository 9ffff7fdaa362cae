from collections import Counter

import numpy as np
import pytest

from lumbar.anatomy import VERTEBRAE
from lumbar.files import read_pickle
from lumbar.phantom.marks import Study
from lumbar.phantom.outlines import detect, draw_faults, write_outlines
from lumbar.phantom.plan import Scene, plan_sagittal


@pytest.fixture
def study(straight_patient):
    return Study(1, straight_patient, (plan_sagittal(Scene(straight_patient), np.random.default_rng(4)),), np.zeros(3))


def test_detections_are_near_the_true_corners_and_plain(study):
    errors, slices = [], set()
    for found in detect(study, study.series[0], 0, np.random.default_rng(0)):
        assert set(found) == {"predicted_label", "slice_nos", "polys"}
        assert found["slice_nos"] == list(range(found["slice_nos"][0], found["slice_nos"][-1] + 1))
        slices.update(found["slice_nos"])
        for index, polygon in zip(found["slice_nos"], found["polys"], strict=True):
            plane = study.series[0].slices[index].plane
            assert type(index) is int and type(polygon) is list and type(polygon[0][0]) is float
            true = study.outlines[0][index][found["predicted_label"]]
            errors.append(np.linalg.norm(true - polygon, axis=1) * plane.col_spacing)
    assert 0.5 < np.median(errors) < 2 and np.max(errors) < 6
    assert 8 <= len(slices) < len(study.series[0].slices)  # lateral slices are absent


def test_a_shift_renames_every_vertebra_by_one(study):
    plain, up, down = (detect(study, study.series[0], shift, np.random.default_rng(0)) for shift in (0, -1, 1))
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


def test_written_file_is_a_safe_pickle(tmp_path, study):
    found = detect(study, study.series[0], 0, np.random.default_rng(0))
    path = write_outlines(tmp_path, 123, found)
    assert path == tmp_path / "spinenet/vert_dicts_v0/123_vert_dicts.p"
    assert read_pickle(path) == found
