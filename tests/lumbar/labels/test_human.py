import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import CONDITIONS, LEVELS, TARGETS, condition_title
from lumbar.cli import UserError
from lumbar.labels.human import StudyGrades, human_points, point_column

STUDIES = pd.DataFrame(
    [{"study_id": study, **dict.fromkeys(TARGETS, "Normal/Mild")} for study in (30, 10, 10)]
)  # fmt: skip


def test_pairs():
    df = STUDIES.copy()
    df.loc[df["study_id"] == 10, "left_neural_foraminal_narrowing_l2_l3"] = "Severe"
    df.loc[df["study_id"] == 10, "right_neural_foraminal_narrowing_l2_l3"] = "Moderate"
    df.loc[df["study_id"] == 30, "spinal_canal_stenosis_l5_s1"] = None
    grades = StudyGrades(df)
    assert grades.study_id.tolist() == [10, 30]
    studies, levels = np.array([10, 30]), np.array([1, 4])
    assert grades.pairs("nfn", studies, levels).tolist() == [[2, 1], [0, 0]]
    assert grades.pairs("scs", studies, levels).tolist() == [[0, -100], [-100, -100]]
    assert grades.pairs("ss", studies, levels).tolist() == [[0, 0], [0, 0]]


def test_new_studies_have_no_grades():
    grades = StudyGrades(STUDIES[["study_id"]])
    assert (grades.grades == -100).all()
    assert grades.grades.shape == (2, 25)


def test_an_unknown_grade():
    with pytest.raises(UserError, match="column spinal_canal_stenosis_l1_l2: 'Mild' is not one of Normal/Mild"):
        StudyGrades(STUDIES.assign(spinal_canal_stenosis_l1_l2="Mild"))


def marks_of(condition, level="L4/L5"):
    row = {"study_id": 5, "series_id": 1, "instance_number": 2, "condition": condition, "level": level, "x": 3, "y": 4}
    return pd.DataFrame([row])


@pytest.mark.parametrize(("condition", "part", "side", "column"), [
    ("spinal_canal_stenosis", "scs", 0, 2), ("left_neural_foraminal_narrowing", "nfn", 0, 0),
    ("right_neural_foraminal_narrowing", "nfn", 1, 1), ("left_subarticular_stenosis", "ss", 0, -1),
    ("right_subarticular_stenosis", "ss", 1, -1),
])  # fmt: skip
def test_human_points(condition, part, side, column):
    assert condition in CONDITIONS
    points = human_points(marks_of(condition_title(condition)))
    assert points.to_dict("records") == [
        {"study_id": 5, "series_id": 1, "instance_number": 2, "x": 3, "y": 4, "condition": condition, "part": part,
         "side": side, "level": 3}
    ]  # fmt: skip
    assert LEVELS[3] == "l4_l5"
    assert point_column(points).tolist() == [column]


def test_no_points():
    assert len(human_points(marks_of("Spinal Canal Stenosis").iloc[:0])) == 0
