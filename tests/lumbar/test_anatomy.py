from lumbar import anatomy


def test_targets_stand_in_the_order_of_the_competition() -> None:
    assert len(anatomy.TARGETS) == 25
    assert anatomy.TARGETS[0] == "spinal_canal_stenosis_l1_l2"
    assert anatomy.TARGETS[5] == "left_neural_foraminal_narrowing_l1_l2"
    assert anatomy.TARGETS[13] == "right_neural_foraminal_narrowing_l4_l5"
    assert anatomy.TARGETS[24] == "right_subarticular_stenosis_l5_s1"


def test_titles_and_labels_are_those_of_the_coordinates_file() -> None:
    assert anatomy.condition_title("left_subarticular_stenosis") == "Left Subarticular Stenosis"
    assert anatomy.CONDITION_BY_TITLE["Spinal Canal Stenosis"] == "spinal_canal_stenosis"


def test_grade_shares_leave_only_the_missing_ones_out() -> None:
    for part, shares in anatomy.GRADE_SHARES.items():
        for level in shares:
            missing = 1 - sum(level)
            assert -1e-9 <= missing < (0.09 if part == anatomy.SS else 0.005)
