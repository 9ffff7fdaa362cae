"""Synthetic sets of out-of-fold tables that look like those of a real ensemble of the competition.

1,975 studies in five folds; two or three models per condition group, none of which predicts all groups; seven tables.
Grades follow from severities that levels, sides and conditions share in part, and are read with the noise of human
readers. A model sees the severity through an error that it shares to 0.9 with the others of its group; it answers as
well as one can who sees that, in the metric's weights, and is then a little too sharp and biased, by model, level and
fold. The size of the errors is set so that the mean of the models scores as on the real data: about 0.39.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from lumbar.anatomy import (
    CONDITION_PARTS,
    CONDITIONS,
    GRADE_SHARES,
    GRADE_WEIGHTS,
    GRADES,
    LEVELS,
    NFN,
    SCS,
    SS,
    TARGETS,
)
from lumbar.grades.scoring import PART_COLUMNS, Floats, softmax
from lumbar.grades.submission import write_predictions

STUDIES, FOLDS, TABLES = 1975, 5, 7
SHARED = (0.30, 0.15, 0.30, 0.25)
"""Shares of a severity's variance: study; level; condition group of a level; target."""
SHARED_ERROR = (0.23, 0.15, 0.33, 0.29)
"""The same of a model's error: nearly as the severity, for models see whole series and have used what is shared."""
GROUP_BIAS, MODEL_BIAS, SHARPNESS = 0.12, 0.1, 0.05
"""Standard deviations of biases, and the mean logarithm of the factor by which logits are too large."""
READING = 0.20
"""Standard deviation of a human reader's severity about the true one, half of its variance common to a study."""
ERROR = {SCS: 0.27, NFN: 0.68, SS: 0.57}
"""Standard deviation of a model's error."""
CORRELATION = 0.9
"""Of the errors of two models of a group."""
MISSING = 0.02
"""Share of the studies that a table lacks."""


class OutOfFoldSet:
    """One set, drawn from a seed: `grades` (N, 25), -100 where missing, `fold` (N), `tables` by name (N, 25, 3)."""

    def __init__(self, seed: int, studies: int = STUDIES) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.study_id = 1000 + np.arange(studies)
        self.fold = rng.permutation(studies) % FOLDS
        self.severity = self.draw(SHARED)
        shares = np.array([GRADE_SHARES[CONDITION_PARTS[c]][k] for c in CONDITIONS for k in range(len(LEVELS))])
        self.cuts = ndtri((shares / shares.sum(1, keepdims=True)).cumsum(1)[:, :2])  # (25, 2)
        reader, slip = (rng.normal(size=(studies, n)) * READING / 2**0.5 for n in (1, 25))
        read = (self.severity + reader + slip) / (1 + READING**2) ** 0.5
        self.grades = (read[..., None] > self.cuts).sum(-1)
        self.grades[rng.random(self.grades.shape) > shares.sum(1)] = -100
        self.tables = {f"model{number}": np.full((studies, 25, 3), np.nan) for number in range(TABLES)}
        common = self.draw(SHARED_ERROR)
        for part_name, numbers in self.readers().items():
            self.predict(PART_COLUMNS[part_name], ERROR[part_name], numbers, common)
        for table in self.tables.values():
            table[rng.random(studies) < MISSING] = np.nan

    def draw(self, shares: Sequence[float]) -> Floats:
        """Draw a standard normal number per target, shape (N, 25), as far shared as `SHARED` says."""
        count = len(self.study_id)
        part = [list(PART_COLUMNS).index(CONDITION_PARTS[name]) for name in CONDITIONS]
        shapes = ((count, 1, 1), (count, 1, 5), (count, 3, 5), (count, 5, 5))
        study, level, group, target = (
            self.rng.normal(size=shape) * share**0.5 for shape, share in zip(shapes, shares, strict=True)
        )
        return (study + level + group[:, part] + target).reshape(count, 25)

    def readers(self) -> dict[str, Sequence[int]]:
        """Choose which tables predict which condition group: each one or two of the three."""
        first, second, third = (list(part) for part in np.array_split(self.rng.permutation(TABLES), [2, 4]))
        third, spare = third[:2], third[2]
        return {
            SCS: [*first, spare],
            NFN: [*second, first[0]],
            SS: third + ([spare] if self.rng.random() < 0.5 else []),
        }

    def predict(self, columns: np.ndarray, error: float, numbers: Sequence[int], common: Floats) -> None:
        """Fill in what some tables say of one condition group."""
        rng, cuts = self.rng, self.cuts[columns]
        severity = self.severity[:, columns]
        level = np.arange(columns.sum()) % len(LEVELS)
        off = self.bias(GROUP_BIAS, level)
        for number in numbers:
            own = (CORRELATION**0.5 * common + (1 - CORRELATION) ** 0.5 * self.draw(SHARED_ERROR))[:, columns]
            seen = severity + error * own
            spread = error**2 / (1 + error**2) + READING**2
            scale = (1 + READING**2) ** 0.5
            below = ndtr((cuts * scale - (seen / (1 + error**2))[..., None]) / spread**0.5)
            posterior = np.diff(below, prepend=0, append=1) + 1e-4
            bias = off + self.bias(MODEL_BIAS, level) + self.rng.normal(0, MODEL_BIAS, (FOLDS, 1, 3))[self.fold]
            logits = np.exp(rng.normal(SHARPNESS, MODEL_BIAS)) * np.log(posterior * GRADE_WEIGHTS) + bias
            self.tables[f"model{number}"][:, columns] = softmax(logits)

    def bias(self, size: float, level: np.ndarray) -> Floats:
        """Draw what is added to logits, (1, T, 3)."""
        return self.rng.normal(0, size, (1, 1, 3)) + self.rng.normal(0, size, (1, 5, 3))[:, level]

    def write(self, folder: Path) -> list[Path]:
        """Write ``train.csv``, ``folds.csv`` and the tables; return the paths of these."""
        folder.mkdir(parents=True, exist_ok=True)
        names = np.array([*GRADES, None], dtype=object)[np.where(self.grades < 0, len(GRADES), self.grades)]
        labels = pd.DataFrame(names, columns=list(TARGETS))
        labels.insert(0, "study_id", self.study_id)
        labels.to_csv(folder / "train.csv", index=False)
        pd.DataFrame({"study_id": self.study_id, "fold": self.fold}).to_csv(folder / "folds.csv", index=False)
        paths = []
        for name, table in self.tables.items():
            path = write_predictions(folder / f"{name}.csv", self.study_id, np.nan_to_num(table, nan=1 / 3))
            rows = pd.read_csv(path)
            rows[~np.isnan(table[..., 0]).ravel()].to_csv(path, index=False)
            paths.append(path)
        return paths
