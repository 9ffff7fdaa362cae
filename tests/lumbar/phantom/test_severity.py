import numpy as np
import pytest

from lumbar.anatomy import CONDITION_PARTS, GRADE_SHARES, LEVELS, MISSING, TARGETS
from lumbar.phantom import severity
from lumbar.phantom.severity import sample_grades, within


def share_of(target):
    condition, level = target[:-6], target[-5:]
    return np.array(GRADE_SHARES[CONDITION_PARTS[condition]][LEVELS.index(level)])


@pytest.mark.parametrize("count", [8, 24, 60, 1000])
def test_every_grade_appears_as_often_as_its_share_allows(count):
    true, labels = sample_grades(count, np.random.default_rng(3))
    assert true.shape == labels.shape == (count, 25)
    for column, target in enumerate(TARGETS):
        expected = share_of(target) / share_of(target).sum() * count
        counts = np.bincount(true[:, column], minlength=3)
        assert np.abs(counts - expected).max() < 1 + 1e-9, target


def test_a_few_percent_of_the_labels_are_one_grade_off_and_shares_stay():
    true, labels = sample_grades(2000, np.random.default_rng(0))
    graded = labels != MISSING
    off = np.abs(true - labels)[graded]
    assert off.max() == 1
    assert 0.02 < off.mean() < 0.06
    for column in range(25):
        one, other = (np.bincount(grades[graded[:, column], column], minlength=3) for grades in (true, labels))
        assert np.abs(one - other).max() <= 0.01 * 2000


def test_missing_labels_follow_the_shares_on_both_sides_together():
    _, labels = sample_grades(1000, np.random.default_rng(0))
    missing = (labels == MISSING).reshape(1000, 5, 5)
    for column, target in enumerate(TARGETS):
        expected = 1 - share_of(target).sum()
        assert missing.reshape(1000, 25)[:, column].mean() == pytest.approx(max(expected, 0), abs=0.0011)
    assert (missing[:, 3] == missing[:, 4]).all()
    lower, upper = missing[:, 3, 1], missing[:, 3, 0]
    assert upper[lower].mean() > 0.5  # a stack that misses L2/L3 mostly misses L1/L2 too


def test_conditions_of_a_patient_go_together():
    diseased = (sample_grades(3000, np.random.default_rng(0))[0] > 0).astype(float)
    at = {target: i for i, target in enumerate(TARGETS)}

    def correlation(first, second):
        return np.corrcoef(diseased[:, at[first]], diseased[:, at[second]])[0, 1]

    sides = correlation("left_subarticular_stenosis_l4_l5", "right_subarticular_stenosis_l4_l5")
    conditions = correlation("spinal_canal_stenosis_l4_l5", "left_subarticular_stenosis_l4_l5")
    levels = correlation("spinal_canal_stenosis_l4_l5", "left_subarticular_stenosis_l2_l3")
    assert sides > conditions > levels > 0.1


def test_no_patients_and_one_patient():
    assert sample_grades(0, np.random.default_rng(0))[0].shape == (0, 25)
    assert set(np.unique(sample_grades(1, np.random.default_rng(0))[0])) <= {0, 1, 2}


def test_the_seed_decides():
    first, again, other = (sample_grades(20, np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(
    "table", [severity.SAC_AREA, severity.FORAMEN_WIDTH, severity.FORAMEN_HEIGHT, severity.RECESS_HEIGHT]
)
def test_a_higher_grade_is_smaller_at_every_share(table):
    for share in (0.0, 0.3, 1.0):
        normal, moderate, severe = (within(table, grade, share) for grade in range(3))
        assert normal > moderate > severe > 0


def test_share_0_is_the_healthy_end():
    assert within(severity.SAC_AREA, 0, 0.0) == 205
    assert within(severity.SAC_AREA, 2, 1.0) == 26
    assert within(severity.SAC_AREA, 1, 0.5) == pytest.approx(88)


def test_thresholds_of_the_literature_part_the_grades_up_to_a_small_overlap():
    for table, limits in ((severity.SAC_AREA, (100, 75)), (severity.RECESS_HEIGHT, (5, 3))):
        for grade, limit in enumerate(limits):
            assert table[grade][0] > 0.93 * limit  # of the milder grade
            assert table[grade + 1][1] < 1.1 * limit  # of the more severe
