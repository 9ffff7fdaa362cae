import pytest

from lumbar.phantom import ranges
from lumbar.phantom.ranges import within

TABLES = (ranges.SAC_AREA, ranges.FORAMEN_WIDTH, ranges.FORAMEN_HEIGHT, ranges.RECESS_HEIGHT)


@pytest.mark.parametrize("table", TABLES)
def test_a_higher_grade_is_smaller_at_every_share(table):
    for share in (0.0, 0.3, 1.0):
        normal, moderate, severe = (within(table, grade, share) for grade in range(3))
        assert normal > moderate > severe > 0


def test_share_0_is_the_healthy_end():
    assert within(ranges.SAC_AREA, 0, 0.0) == 205
    assert within(ranges.SAC_AREA, 2, 1.0) == 26
    assert within(ranges.SAC_AREA, 1, 0.5) == pytest.approx(88)


def test_thresholds_of_the_literature_part_the_grades_up_to_a_small_overlap():
    for table, limits in ((ranges.SAC_AREA, (100, 75)), (ranges.RECESS_HEIGHT, (5, 3))):
        for grade, limit in enumerate(limits):
            assert table[grade][0] > 0.93 * limit  # of the milder grade
            assert table[grade + 1][1] < 1.1 * limit  # of the more severe
