from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lumbar.anatomy import AXIAL_T2, LEVELS, MISSING, TARGETS
from lumbar.phantom.study import Task, plan_study

NORMAL = dict.fromkeys(TARGETS, 0)


@pytest.fixture
def task():
    return Task(Path("unused"), "train", (1, 0, 0), 5, (11, 12, 13, 14), "small", NORMAL, NORMAL)


def axial(study):
    return next(series for series in study.series if series.kind == AXIAL_T2)


def test_a_study_depends_on_its_task_alone(task):
    (first, _), (again, _), (other, _) = plan_study(task), plan_study(task), plan_study(replace(task, key=(1, 0, 1)))
    origins = [np.array([each.plane.origin for each in axial(study).slices]) for study in (first, again, other)]
    assert (origins[0] == origins[1]).all() and not np.array_equal(origins[0], origins[2])
    assert (first.table_offset == again.table_offset).all()


def test_series_stand_in_the_order_of_their_numbers(task):
    for index in range(5):
        study, labels = plan_study(replace(task, key=(1, 0, index)))
        numbers = [series.series_id for series in study.series]
        assert numbers == sorted(numbers) and set(numbers) < set(task.series_ids)
        assert labels == NORMAL


def test_axial_slices_start_below_ungraded_upper_levels(task):
    ungraded = {f"{side}_subarticular_stenosis_{level}": MISSING for side in ("left", "right") for level in LEVELS[:2]}
    study, labels = plan_study(replace(task, labels=NORMAL | ungraded))
    covered = [axial(study).find(study.patient.level_point(level)) is not None for level in LEVELS]
    assert covered == [False, False, True, True, True]
    assert labels == NORMAL | ungraded


def test_labels_are_missing_without_the_series_they_are_graded_on(task):
    for index in range(8):
        study, labels = plan_study(replace(task, key=(1, 0, index), oddity="missing series type"))
        missing = {target for target, label in labels.items() if label == MISSING}
        words = {"Axial T2": "subarticular", "Sagittal T1": "foraminal", "Sagittal T2/STIR": "canal"}
        (absent,) = set(words) - {series.kind for series in study.series}
        assert missing == {target for target in TARGETS if words[absent] in target}
