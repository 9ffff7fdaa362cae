"""Submissions have the rows of the sample, in its order, and probabilities only."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import GRADE_COLUMNS, TARGETS
from lumbar.cli import UserError
from lumbar.predict.submission import Rows, read_sample, write_submission

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
        ([SHUFFLED[0]] * 2, "is there twice"),
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
