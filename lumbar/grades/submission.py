"""Tables in the submission's format: which rows in which order, how they are read and written.

A row is a study and a target, `row_id` ``<study>_<target>``, with the probabilities `normal_mild moderate severe`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import GRADE_COLUMNS, GRADES, TARGETS
from lumbar.cli import UserError, nearest
from lumbar.files import atomic_path
from lumbar.grades.scoring import Floats, Ints
from lumbar.tables import ROW_ID, SAMPLE_SUBMISSION, read_table

SUM_TOLERANCE: Final = 0.02
"""How far the sum of a row's probabilities may be from 1: three values of two decimals. They are then rescaled."""


@dataclass(frozen=True)
class Rows:
    """Rows of a submission, in order."""

    study_id: Ints
    """Shape (R)."""
    target: Ints
    """Index of the target (`lumbar.anatomy.TARGETS`), shape (R)."""

    @classmethod
    def of(cls, study_ids: Sequence[int] | Ints) -> Rows:
        """Make all 25 rows of some studies."""
        studies = np.array(study_ids, dtype=np.int64)
        return cls(np.repeat(studies, len(TARGETS)), np.tile(np.arange(len(TARGETS)), len(studies)))

    @property
    def studies(self) -> list[int]:
        """The studies, in order of appearance."""
        return list(dict.fromkeys(self.study_id.tolist()))


def _read(path: Path, made_by: str) -> tuple[pd.DataFrame, Rows]:
    """Read a table in the submission's format, and what its row_ids say.

    Raises
    ------
    UserError
        If it is no such table, or a row is unknown or given twice; names it.
    """
    frame = read_table(Path(), replace(SAMPLE_SUBMISSION, path=str(path), made_by=made_by))
    if frame.empty:
        raise UserError(f"{path}: holds no row; expected rows named <study>_<target>, as 1_{TARGETS[0]}")
    row_id = frame["row_id"].astype(str)
    parts = row_id.str.extract(r"^(\d{1,18})_(.+)$")
    target = parts[1].map({name: number for number, name in enumerate(TARGETS)})
    if target.isna().any():
        wrong = row_id[target.isna()].iloc[0]
        hint = nearest(wrong.partition("_")[2], TARGETS)
        raise UserError(f"{path}: unknown row_id {wrong!r}; expected <study>_<target>, as 1_{TARGETS[0]}{hint}")
    if row_id.duplicated().any():
        raise UserError(f"{path}: row_id {row_id[row_id.duplicated()].iloc[0]!r} is given twice; expected once")
    return frame, Rows(np.asarray(parts[0], dtype=np.int64), np.asarray(target, dtype=np.int64))


def read_sample(path: Path) -> Rows:
    """Read from ``sample_submission.csv`` which rows a submission must have.

    Raises
    ------
    UserError
        If it is no such table, or a row is unknown or given twice; names it.
    """
    return _read(path, "the download, or leave --sample out")[1]


def read_predictions(path: Path) -> tuple[Ints, Floats]:
    """Read predictions; rows may be missing or without any value, and in any order.

    Returns
    -------
    study_id : ndarray, shape (N)
        Ascending.
    probabilities : ndarray, shape (N, 25, 3)
        Rescaled to sum to 1; NaN where missing.

    Raises
    ------
    UserError
        If a column is missing, or a row is unknown, given twice or holds no probabilities; names it.
    """
    status = path.stat() if path.is_file() else None
    return _read_predictions(path, status and (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=32)
def _read_predictions(path: Path, _: tuple[int, int] | None) -> tuple[Ints, Floats]:
    """Read predictions once; a file that has changed since is read again."""
    frame, rows = _read(path, "the pipeline that it comes from")
    given = frame[list(GRADE_COLUMNS)]
    values = given.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    total = values.sum(1)
    right = (values >= 0).all(1) & (np.abs(total - 1) <= SUM_TOLERANCE)
    wrong = ~(right | given.isna().all(axis=1).to_numpy())
    if wrong.any():
        row = frame.iloc[int(wrong.argmax())]
        shown = ", ".join(map(str, row[list(GRADE_COLUMNS)]))
        raise UserError(
            f"{path}: row_id {row['row_id']!r} holds {shown}; expected three probabilities that sum to 1 (or none, "
            "where nothing was predicted)"
        )
    study_id, place = np.unique(rows.study_id, return_inverse=True)
    result = np.full((len(study_id), len(TARGETS), len(GRADES)), np.nan)
    result[place, rows.target] = values / total[:, None]
    for array in (study_id, result):
        array.flags.writeable = False
    return study_id, result


def write_submission(path: Path, rows: Rows, answers: Mapping[int, Floats]) -> None:
    """Write a submission atomically; `answers` are the probabilities of every study in `rows`, shape (25, 3).

    Raises
    ------
    ValueError
        If an answer holds anything but probabilities that sum to 1.
    """
    pairs = list(zip(rows.study_id.tolist(), rows.target.tolist(), strict=True))
    values = np.array([answers[study][target] for study, target in pairs]).reshape(-1, len(GRADES))
    if not (np.isfinite(values) & (values >= 0)).all() or not np.allclose(values.sum(1), 1, rtol=0, atol=1e-6):
        raise ValueError("probabilities must be at least 0 and sum to 1 in each row")
    frame = pd.DataFrame(values, columns=list(GRADE_COLUMNS))
    frame.insert(0, "row_id", [ROW_ID.format(study_id=study, target=TARGETS[target]) for study, target in pairs])
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def write_predictions(path: Path, study_id: Sequence[int] | Ints, probabilities: Floats) -> Path:
    """Write predictions (N, 25, 3) of N studies as `write_submission` does, all rows of a study together."""
    rows = Rows.of(study_id)
    write_submission(path, rows, dict(zip(rows.studies, probabilities, strict=True)))
    return path
