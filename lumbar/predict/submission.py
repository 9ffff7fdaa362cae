"""The submission: which rows in which order, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import GRADE_COLUMNS, GRADES, TARGETS
from lumbar.cli import UserError, nearest
from lumbar.files import atomic_path
from lumbar.tables import SAMPLE_SUBMISSION, read_table


@dataclass(frozen=True)
class Rows:
    """Rows of a submission, in order.

    Parameters
    ----------
    study_id, target : ndarray, shape (R), int64
        Study, and index of the target (`lumbar.anatomy.TARGETS`).
    """

    study_id: NDArray[np.int64]
    target: NDArray[np.int64]

    @classmethod
    def of(cls, study_ids: Sequence[int]) -> Rows:
        """Make all 25 rows of some studies."""
        studies = np.array(study_ids, dtype=np.int64)
        return cls(np.repeat(studies, len(TARGETS)), np.tile(np.arange(len(TARGETS)), len(studies)))

    @property
    def studies(self) -> list[int]:
        """The studies, in order of appearance."""
        return list(dict.fromkeys(self.study_id.tolist()))


def read_sample(path: Path) -> Rows:
    """Read which rows a submission must have.

    Parameters
    ----------
    path : Path
        ``sample_submission.csv``: `row_id` is ``<study>_<target>``.

    Raises
    ------
    UserError
        If it is no such table, or a row is unknown or there twice; names it.
    """
    made_by = "the download, or leave --sample out"
    frame = read_table(Path(), replace(SAMPLE_SUBMISSION, path=str(path), made_by=made_by))
    row_id = frame["row_id"].astype(str)
    parts = row_id.str.extract(r"^(\d{1,18})_(.+)$")
    target = parts[1].map({name: number for number, name in enumerate(TARGETS)})
    if target.isna().any():
        wrong = row_id[target.isna()].iloc[0]
        hint = nearest(wrong.partition("_")[2], TARGETS)
        raise UserError(f"{path}: unknown row_id {wrong!r}; expected <study>_<target>, as in {TARGETS[0]!r}{hint}")
    if row_id.duplicated().any():
        raise UserError(f"{path}: row_id {row_id[row_id.duplicated()].iloc[0]!r} is there twice; expected once")
    return Rows(np.asarray(parts[0], dtype=np.int64), np.asarray(target, dtype=np.int64))


def write_submission(path: Path, rows: Rows, answers: Mapping[int, NDArray[np.float64]]) -> None:
    """Write a submission atomically.

    Parameters
    ----------
    path : Path
        CSV file.
    rows : Rows
        Which rows.
    answers : mapping of int to ndarray, shape (25, 3)
        Probabilities of every study in `rows`.

    Raises
    ------
    ValueError
        If an answer holds anything but probabilities that sum to 1.
    """
    pairs = zip(rows.study_id.tolist(), rows.target.tolist(), strict=True)
    values = np.array([answers[study][target] for study, target in pairs]).reshape(-1, len(GRADES))
    if not (np.isfinite(values) & (values >= 0)).all() or not np.allclose(values.sum(1), 1, rtol=0, atol=1e-6):
        raise ValueError("probabilities must be at least 0 and sum to 1 in each row")
    frame = pd.DataFrame(values, columns=list(GRADE_COLUMNS))
    names = zip(rows.study_id.tolist(), rows.target.tolist(), strict=True)
    frame.insert(0, "row_id", [f"{study}_{TARGETS[target]}" for study, target in names])
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
