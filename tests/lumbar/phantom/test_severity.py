import numpy as np
import pytest

from lumbar.anatomy import CONDITION_PARTS, GRADE_SHARES, LEVELS, MISSING, TARGETS
from lumbar.phantom.severity import sample_grades


def share_of(target):
    condition, level = target[:-6], target[-5:]
    return np.array(GRADE_SHARES[CONDITION_PARTS[condition]][LEVELS.index(level)])


@pytest.mark.parametrize("count", [8, 24, 60, 1000])
def test_every_grade_appears_as_often_as_its_share_allows(count):
    grading = sample_grades(count, np.random.default_rng(3))
    assert grading.true.shape == grading.labels.shape == (count, 25)
    for column, target in enumerate(TARGETS):
        expected = share_of(target) / share_of(target).sum() * count
        counts = np.bincount(grading.true[:, column], minlength=3)
        assert np.abs(counts - expected).max() < 1 + 1e-9, target


def test_a_few_percent_of_the_labels_are_one_grade_off_and_shares_stay():
    grading = sample_grades(2000, np.random.default_rng(0))
    graded = grading.labels != MISSING
    off = np.abs(grading.true - grading.labels)[graded]
    assert off.max() == 1
    assert 0.02 < off.mean() < 0.06
    for column in range(25):
        true, labels = (np.bincount(g[graded[:, column], column], minlength=3) for g in (grading.true, grading.labels))
        assert np.abs(true - labels).max() <= 0.01 * 2000


def test_missing_labels_follow_the_shares_on_both_sides_together():
    grading = sample_grades(1000, np.random.default_rng(0))
    missing = (grading.labels == MISSING).reshape(1000, 5, 5)
    for column, target in enumerate(TARGETS):
        expected = 1 - share_of(target).sum()
        assert missing.reshape(1000, 25)[:, column].mean() == pytest.approx(max(expected, 0), abs=0.0011)
    assert (missing[:, 3] == missing[:, 4]).all()
    lower, upper = missing[:, 3, 1], missing[:, 3, 0]
    assert upper[lower].mean() > 0.5  # a stack that misses L2/L3 mostly misses L1/L2 too


def test_conditions_of_a_patient_go_together():
    severity = (sample_grades(3000, np.random.default_rng(0)).true > 0).astype(float)
    at = {target: i for i, target in enumerate(TARGETS)}

    def correlation(first, second):
        return np.corrcoef(severity[:, at[first]], severity[:, at[second]])[0, 1]

    sides = correlation("left_subarticular_stenosis_l4_l5", "right_subarticular_stenosis_l4_l5")
    conditions = correlation("spinal_canal_stenosis_l4_l5", "left_subarticular_stenosis_l4_l5")
    levels = correlation("spinal_canal_stenosis_l4_l5", "left_subarticular_stenosis_l2_l3")
    assert sides > conditions > levels > 0.1


def test_no_patients_and_one_patient():
    assert sample_grades(0, np.random.default_rng(0)).true.shape == (0, 25)
    assert set(np.unique(sample_grades(1, np.random.default_rng(0)).true)) <= {0, 1, 2}


def test_the_seed_decides():
    first, again, other = (sample_grades(20, np.random.default_rng(seed)).labels for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
