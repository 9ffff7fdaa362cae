"""Submissions have the rows of the sample, in its order, and probabilities only."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import GRADE_COLUMNS, TARGETS
from lumbar.cli import UserError
from lumbar.grades.scoring import softmax
from lumbar.grades.submission import Rows, read_predictions, read_sample, write_predictions, write_submission

HEADER = "row_id,normal_mild,moderate,severe\n"
SHUFFLED = [f"{study}_{target}" for target in sorted(TARGETS) for study in (9, 4)]


def write_sample(path: Path, row_ids: list[str]) -> Path:
    frame = pd.DataFrame({"row_id": row_ids, **dict.fromkeys(GRADE_COLUMNS, 1 / 3)})
    frame.to_csv(path, index=False)
    return path


def test_rows_and_order_are_those_of_the_sample(tmp_path: Path) -> None:
    rows = read_sample(write_sample(tmp_path / "sample.csv", SHUFFLED))
    assert rows.studies == [9, 4]
    rng = np.random.default_rng(0)
    answers = {study: rng.dirichlet((1, 1, 1), len(TARGETS)) for study in (4, 9)}
    write_submission(tmp_path / "out.csv", rows, answers)
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written.columns) == ["row_id", *GRADE_COLUMNS]
    assert written["row_id"].tolist() == SHUFFLED
    np.testing.assert_allclose(written[list(GRADE_COLUMNS)].sum(axis=1), 1, atol=1e-12)
    row = written.set_index("row_id").loc[f"9_{TARGETS[7]}"]
    np.testing.assert_allclose(row.to_numpy(), answers[9][7], atol=1e-12)


def test_without_a_sample_each_study_has_all_targets() -> None:
    rows = Rows.of([9, 4])
    assert rows.studies == [9, 4]
    assert rows.study_id.tolist() == [9] * 25 + [4] * 25
    assert rows.target.tolist() == list(range(25)) * 2


@pytest.mark.parametrize(
    ("row_ids", "message"),
    [
        (["9_left_neural_foraminal_narrowing_l1l2"], "unknown row_id .*did you mean 'left_neural_foraminal"),
        (["x_y"], "unknown row_id 'x_y'"),
        ([SHUFFLED[0]] * 2, "is given twice"),
    ],
)
def test_a_wrong_sample_is_an_error(tmp_path: Path, row_ids: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_sample(write_sample(tmp_path / "sample.csv", row_ids))


@pytest.mark.parametrize("wrong", [np.full((25, 3), np.nan), np.full((25, 3), 0.5), np.tile([2.0, -1, 0], (25, 1))])
def test_nothing_but_probabilities_is_written(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        write_submission(tmp_path / "out.csv", Rows.of([9]), {9: wrong})
    assert not (tmp_path / "out.csv").exists()


def test_tables_survive_a_round_trip(tmp_path: Path) -> None:
    predicted = softmax(np.random.default_rng(0).normal(size=(3, 25, 3)))
    path = write_predictions(tmp_path / "oof.csv", [7, 3, 5], predicted)
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + 75
    assert lines[0] == "row_id,normal_mild,moderate,severe"
    assert lines[1].startswith("7_spinal_canal_stenosis_l1_l2,")
    study_id, found = read_predictions(path)
    assert study_id.tolist() == [3, 5, 7]
    np.testing.assert_allclose(found, predicted[[1, 2, 0]], atol=1e-12)


def test_missing_rows_are_nan_and_rounded_ones_rescaled(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}12_{TARGETS[24]},0.33,0.33,0.33\n4_{TARGETS[0]},1,0,0\n")
    study_id, found = read_predictions(path)
    assert study_id.tolist() == [4, 12]
    assert found[1, 24].tolist() == pytest.approx([1 / 3] * 3)
    assert found[0, 0].tolist() == [1, 0, 0]
    assert np.isnan(found).sum() == found.size - 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("row_id,normal_mild,moderate\n", r"lacks the column\(s\) severe"),
        (
            f"{HEADER}4_spinal_canal_stenosis_l1_l3,1,0,0\n",
            "unknown row_id '4_spinal.*did you mean 'spinal_canal_stenosis_l",
        ),
        (f"{HEADER}study_{TARGETS[0]},1,0,0\n", "unknown row_id 'study_spinal"),
        (f"{HEADER}4_{TARGETS[0]},1,0,0\n4_{TARGETS[0]},1,0,0\n", "is given twice"),
        (f"{HEADER}4_{TARGETS[0]},0.5,0.4,0.3\n", "holds 0.5, 0.4, 0.3; expected three probabilities that sum to 1"),
        (f"{HEADER}4_{TARGETS[0]},1.5,-0.5,0\n", "holds 1.5, -0.5, 0"),
        (f"{HEADER}4_{TARGETS[0]},1,0,\n", "expected three probabilities"),
        (f"{HEADER}4_{TARGETS[0]},1,0,no\n", "holds 1, 0, no"),
        ("", "is empty"),
        (HEADER, "holds no row"),
    ],
)
def test_bad_tables_are_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        read_predictions(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_absent_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_predictions(tmp_path / "a.csv")


def test_rows_without_values_are_missing_predictions(tmp_path):
    path = write_predictions(tmp_path / "a.csv", [1, 2], np.full((2, 25, 3), 1 / 3))
    rows = pd.read_csv(path)
    rows.loc[[3, 30], ["normal_mild", "moderate", "severe"]] = np.nan
    rows.to_csv(path, index=False)
    study_id, values = read_predictions(path)
    assert study_id.tolist() == [1, 2]
    assert np.argwhere(np.isnan(values).all(-1)).tolist() == [[0, 3], [1, 5]]
    rows.assign(severe=np.nan).to_csv(path, index=False)  # the file has changed since, and rows are half empty
    with pytest.raises(UserError, match=r"holds 0.33\d*, 0.33\d*, nan; expected three probabilities"):
        read_predictions(path)
