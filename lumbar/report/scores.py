"""Scores of predicted grades beside what knows nothing but the class shares; what each error costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import GRADE_WEIGHTS, MISSING, TARGETS
from lumbar.cli import UserError
from lumbar.engine.runs import Floats, Ints, Run, predicted_grades
from lumbar.grades.class_shares import shares_of_other_folds, weighted
from lumbar.grades.oof import pool_runs
from lumbar.grades.scoring import PART_COLUMNS, all_scores, softmax
from lumbar.labels.human import StudyGrades


@dataclass(frozen=True)
class Outcome:
    """What was predicted for N studies by networks that had not seen them, and what was right.

    Parameters
    ----------
    name : str
        Config or run that made the predictions.
    study_id : ndarray, shape (N)
        Studies.
    probabilities : ndarray, shape (N, 25, 3)
        The class shares where nothing was predicted.
    predicted : ndarray of bool, shape (N, 25)
        Where something was.
    grades : ndarray, shape (N, 25)
        Labels, -100 where missing.
    baseline : ndarray, shape (N, 25, 3)
        Weighted class shares of the folds that were trained on.
    plain : ndarray, shape (N, 25, 3)
        The same, not weighted.
    """

    name: str
    study_id: Ints
    probabilities: Floats
    predicted: NDArray[np.bool_]
    grades: Ints
    baseline: Floats
    plain: Floats

    def scores(self) -> dict[str, float]:
        """Score the predictions: the parts and `SCORE`; NaN for a condition group that was never predicted."""
        return all_scores(self.probabilities, self.grades, self.predicted)

    def baseline_scores(self) -> dict[str, float]:
        """Score the weighted class shares on the same studies."""
        return all_scores(self.baseline, self.grades)

    def unpredicted(self) -> float:
        """Share of the labels without a prediction, among condition groups that are predicted at all."""
        meant = np.zeros(len(TARGETS), bool)
        for columns in PART_COLUMNS.values():
            meant |= columns & self.predicted[:, columns].any()
        known = (self.grades != MISSING) & meant
        return float((known & ~self.predicted).sum() / max(known.sum(), 1))

    def losses(self) -> Floats:
        """Weighted log loss of each target, shape (N, 25); 0 without a label.

        This is what a target adds to the score of its condition group, but for a factor that all share.
        """
        known = self.grades != MISSING
        grade = np.where(known, self.grades, 0)
        chosen = np.take_along_axis(self.probabilities, grade[..., None], -1)[..., 0]
        loss = -np.log(np.clip(chosen, np.finfo(np.float64).eps, 1)) * np.asarray(GRADE_WEIGHTS)[grade]
        return np.where(known, loss, 0.0)


class Baselines:
    """What the class shares say about the patients of each fold.

    Shares are counted per condition group and level, left and right together, over the labels of all other folds
    (`lumbar.grades.class_shares`). Plain shares are what is known without looking at a picture; weighted as the score
    weights grades they are, where labels are many, the constant answer that scores best, and so the harder one to beat.

    Parameters
    ----------
    folds : DataFrame
        Rows of the fold file.
    """

    def __init__(self, folds: pd.DataFrame) -> None:
        studies = folds.drop_duplicates("study_id").sort_values("study_id")
        labels = StudyGrades(studies)
        self.study_id, self.grades = labels.study_id, labels.grades
        self.fold = studies["fold"].to_numpy(np.int64)
        self.plain = shares_of_other_folds(self.grades, self.fold)
        self.weighted = weighted(self.plain)

    def outcome(self, name: str, study_id: Ints, logits: Floats) -> Outcome:
        """Set predictions beside labels and shares.

        Parameters
        ----------
        name : str
            Config or run that made the predictions.
        study_id : ndarray, shape (N)
            Studies of the fold file, ascending.
        logits : ndarray, shape (N, 25, 3)
            NaN where nothing was predicted.
        """
        row = np.searchsorted(self.study_id, study_id)
        predicted = np.asarray(~np.isnan(logits).any(-1))
        probabilities = np.where(predicted[..., None], softmax(np.nan_to_num(logits)), self.weighted[row])
        return Outcome(
            name, study_id, probabilities, predicted, self.grades[row], self.weighted[row], self.plain[row]
        )  # fmt: skip


def grade_outcomes(
    runs: Sequence[Run], folds: pd.DataFrame, notes: list[str]
) -> tuple[dict[str, Outcome], dict[Run, Outcome]]:
    """Score everything that predicted grades.

    Parameters
    ----------
    runs : sequence of Run
        Of any config; those that predict no grades are passed over.
    folds : DataFrame
        Rows of the fold file.
    notes : list of str
        Gets a line per run that is left out.

    Returns
    -------
    by_config : dict of str to Outcome
        All folds together, seeds averaged.
    by_run : dict of Run to Outcome
        Each run alone.
    """
    baselines = Baselines(folds)
    found: dict[Run, tuple[Ints, Floats]] = {}
    for run in runs:
        try:
            result = predicted_grades(run, folds)
        except UserError as error:
            notes.append(f"{run}: {error}; not scored")
            continue
        if result is not None and run.fold < 0:
            notes.append(f"{run}: was trained on the patients that it was validated on; not scored")
        elif result is not None:
            found[run] = result
    by_run = {run: baselines.outcome(str(run), *result) for run, result in found.items()}
    by_config: dict[str, list[tuple[Ints, Floats]]] = {}
    for run, result in found.items():
        by_config.setdefault(run.config, []).append(result)
    return {name: baselines.outcome(name, *pool_runs(results)) for name, results in by_config.items()}, by_run
