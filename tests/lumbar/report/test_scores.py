from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import GRADES, MISSING, TARGETS
from lumbar.engine.runs import find_runs
from lumbar.grades.class_shares import PRIOR
from lumbar.grades.scoring import SCORE, score_parts, softmax
from lumbar.report.calibration import confusion, labelled, reliability, reliability_chart
from lumbar.report.scores import Baselines, Outcome, grade_outcomes


def fold_file(grades: np.ndarray) -> pd.DataFrame:
    """Studies 1, 2, ... dealt to two folds in turn, each of three series, with the same grade for all targets."""
    names = np.array([*GRADES, None], dtype=object)
    rows = [{"study_id": n + 1, "series_id": 10 * n + k, "fold": n % 2, **dict.fromkeys(TARGETS, names[grade])}
            for n, grade in enumerate(grades) for k in range(3)]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_fold_s_baseline_knows_the_other_folds_alone() -> None:
    baselines = Baselines(fold_file(np.array([0, 2, 0, 2])))
    assert baselines.study_id.tolist() == [1, 2, 3, 4]
    even = (np.array([0, 0, 2]) + PRIOR) / 3.5  # what fold 1 says about fold 0, canal
    np.testing.assert_allclose(baselines.plain[0, 0], even)
    np.testing.assert_allclose(baselines.weighted[0, 0], even * [1, 2, 4] / (even * [1, 2, 4]).sum())
    np.testing.assert_allclose(baselines.plain[1, 0], even[::-1])


def test_a_perfect_prediction_scores_0_and_a_missing_one_as_the_class_shares() -> None:
    folds = fold_file(np.array([0, 1, 2, 0]))
    baselines = Baselines(folds)
    logits = np.where(baselines.grades[..., None] == np.arange(3), 100.0, 0.0)
    perfect = baselines.outcome("x", baselines.study_id, logits)
    assert perfect.scores() == pytest.approx(dict.fromkeys(("scs", "nfn", "ss", "any_severe", SCORE), 0), abs=1e-9)
    assert perfect.losses() == pytest.approx(np.zeros((4, 25)), abs=1e-9)
    assert perfect.unpredicted() == 0
    none = baselines.outcome("x", baselines.study_id, np.full((4, 25, 3), np.nan))
    assert none.baseline_scores() == baselines.outcome("y", baselines.study_id, logits).baseline_scores()
    np.testing.assert_array_equal(none.probabilities, none.baseline)
    assert np.isnan(list(none.scores().values())).all()


def test_a_model_of_two_conditions_has_no_score_and_the_gaps_in_them_count() -> None:
    baselines = Baselines(fold_file(np.array([0, 1, 2, 0])))
    logits = np.tile([1.0, 0, 0], (4, 25, 1))
    logits[:, 15:] = np.nan
    logits[0, :5] = np.nan
    outcome = baselines.outcome("x", baselines.study_id, logits)
    scores = outcome.scores()
    assert np.isnan([scores["ss"], scores[SCORE]]).all()
    assert not np.isnan([scores["scs"], scores["nfn"], scores["any_severe"]]).any()
    assert outcome.unpredicted() == pytest.approx(5 / 60)
    assert scores["scs"] == score_parts(outcome.probabilities, outcome.grades)["scs"]


def test_losses_are_weighted_by_the_true_grade() -> None:
    baselines = Baselines(fold_file(np.array([0, 1, 2, 3])))  # the last study is not graded
    outcome = baselines.outcome("x", baselines.study_id, np.zeros((4, 25, 3)))
    np.testing.assert_allclose(outcome.losses()[:, 7], np.log(3) * np.array([1, 2, 4, 0]))


def test_seeds_are_averaged_as_logits_and_folds_put_together(trained: Path, mini_folds: pd.DataFrame) -> None:
    notes: list[str] = []
    by_config, by_run = grade_outcomes(find_runs(trained / "weights", (), notes), mini_folds, notes)
    assert notes == []
    assert set(by_config) == {"cfg_dh_12y8", "cfg_dh_29a2"}
    whole = by_config["cfg_dh_29a2"]
    assert whole.study_id.tolist() == sorted(set(mini_folds["study_id"]))
    own = {(run.fold, run.seed): outcome for run, outcome in by_run.items() if run.config == "cfg_dh_29a2"}
    assert set(own) == {(0, 1), (0, 2), (1, 1), (2, 1), (3, 1)}
    one, two, both = own[0, 1], own[0, 2], np.isin(whole.study_id, own[0, 1].study_id)
    mean = softmax((np.log(one.probabilities) + np.log(two.probabilities)) / 2)
    predicted = one.predicted & two.predicted
    np.testing.assert_allclose(whole.probabilities[both][predicted], mean[predicted])
    np.testing.assert_array_equal(whole.baseline[both], one.baseline)


def test_a_network_that_was_trained_on_its_patients_is_not_scored(
    tmp_path: Path, run_writer: Callable[..., Path], grades: Callable, mini_folds: pd.DataFrame
) -> None:
    run_writer(tmp_path, "cfg_dh_29a2", -1, 1, grades(sorted(set(mini_folds.query("fold == 0")["study_id"])), seed=1))
    notes: list[str] = []
    by_config, by_run = grade_outcomes(find_runs(tmp_path, (), notes), mini_folds, notes)
    assert (by_config, by_run) == ({}, {})
    assert notes == ["cfg_dh_29a2, fold -1, seed 1: was trained on the patients that it was validated on; not scored"]


def test_confusion_counts_labels_by_true_and_predicted_grade() -> None:
    probabilities = np.array([(0.7, 0.2, 0.1), (0.7, 0.2, 0.1), (0.1, 0.2, 0.7), (0.2, 0.7, 0.1)])
    counts = confusion(probabilities, np.array([0, 2, 2, 1]))
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]


def test_only_predicted_and_graded_targets_of_the_group_are_looked_at() -> None:
    predicted = np.ones((2, 25), bool)
    predicted[0, 5] = False
    labels = np.zeros((2, 25), int)
    labels[1, 6] = MISSING
    shares = np.full((2, 25, 3), 1 / 3)
    outcome = Outcome("x", np.array([1, 2]), shares, predicted, labels, shares, shares)
    assert [len(labelled(outcome, part)[1]) for part in ("scs", "nfn", "ss")] == [10, 18, 20]


def test_predictions_that_mean_what_they_say_are_reliable_in_the_weighted_sense() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet((2, 1, 0.5), 60000)
    labels = (rng.random((len(shares), 1)) > shares.cumsum(1)).sum(1)
    weighted = shares * [1, 2, 4]
    weighted /= weighted.sum(1, keepdims=True)
    for grade in range(3):
        good, bad = (reliability(each, labels, grade) for each in (weighted, shares))
        assert good.error < 0.02 < bad.error
        known = ~np.isnan(good.predicted)
        np.testing.assert_allclose(good.predicted[known], good.observed[known], atol=0.05)


def test_bins_with_few_labels_are_not_drawn() -> None:
    probabilities = np.array([(0.95, 0.05, 0.0)] * 5 + [(0.5, 0.25, 0.25)] * 4)
    curve = reliability(probabilities, np.zeros(9, int), 0)
    assert np.flatnonzero(~np.isnan(curve.predicted)).tolist() == [9]
    assert (curve.predicted[9], curve.observed[9]) == (pytest.approx(0.95), 1)
    assert curve.error == pytest.approx((5 * 0.05 + 4 * 0.5) / 9)
    chart = reliability_chart("r", "Canal", probabilities, np.zeros(9, int))
    assert "Expected calibration error: Normal/Mild 0.250" in chart
