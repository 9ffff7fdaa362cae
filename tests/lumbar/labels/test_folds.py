import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import GRADES, TARGETS
from lumbar.cli import UserError
from lumbar.labels.folds import assign_folds, check_grades, fold_table, grade_shares
from lumbar.tables import FOLDS


def studies(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    grades = rng.choice([*GRADES, None], (count, len(TARGETS)), p=[0.7, 0.15, 0.1, 0.05])
    return pd.DataFrame(grades, columns=list(TARGETS)).assign(study_id=np.arange(count) * 7 + 100)


def one_series_each(train: pd.DataFrame) -> pd.DataFrame:
    ids = train["study_id"]
    return pd.DataFrame({"study_id": ids, "series_id": ids * 10, "series_description": "Axial T2"})


def imbalance(train: pd.DataFrame, folds: np.ndarray) -> float:
    """Mean spread over the folds of how often each target has a grade that is not Normal/Mild."""
    counts = [np.bincount(folds[train[target] == grade], minlength=4) for target in TARGETS for grade in GRADES[1:]]
    return float(np.std(counts, axis=1).mean())


def test_grades_are_shared_out_more_evenly_than_by_chance() -> None:
    train = studies(200)
    folds = assign_folds(train, 4, seed=0)
    assert np.bincount(folds).min() >= 47
    by_chance = [imbalance(train, np.random.default_rng(seed).permutation(folds)) for seed in range(5)]
    assert imbalance(train, folds) < 0.75 * np.mean(by_chance)


def test_the_result_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    train = studies(40)
    first = assign_folds(train, 4, seed=0)
    shuffled = np.random.default_rng(1).permutation(40)
    assert (assign_folds(train.iloc[shuffled], 4, seed=0) == first[shuffled]).all()
    assert (assign_folds(train, 4, seed=1) != first).any()


def test_studies_without_any_grade_are_dealt_evenly() -> None:
    train = studies(12)
    train[list(TARGETS)] = None
    assert np.bincount(assign_folds(train, 4, seed=0)).tolist() == [3, 3, 3, 3]
    mixed = pd.concat([studies(12), train.assign(study_id=train["study_id"] + 1000)])
    folds = assign_folds(mixed, 4, seed=0)
    assert np.bincount(folds[12:]).tolist() == [3, 3, 3, 3]


def test_fewer_studies_than_folds_is_an_error() -> None:
    with pytest.raises(UserError, match="3 studies cannot fill 4 folds"):
        assign_folds(studies(3), 4, seed=0)


def test_the_table_has_one_row_per_series_and_whole_patients() -> None:
    train = studies(8)
    series = pd.concat([one_series_each(train), one_series_each(train).assign(series_id=lambda x: x["series_id"] + 1)])
    rows = fold_table(train, series.sample(frac=1, random_state=0), 4, seed=0)
    assert list(rows.columns) == list(FOLDS.columns)
    assert rows["series_id"].tolist() == sorted(series["series_id"])
    assert (rows.groupby("study_id")["fold"].nunique() == 1).all()
    targets = rows.drop_duplicates("study_id").set_index("study_id")[list(TARGETS)]
    pd.testing.assert_frame_equal(targets, train.set_index("study_id")[list(TARGETS)])


def test_studies_without_series_and_series_without_study_take_no_part() -> None:
    train = studies(8)
    series = one_series_each(train).iloc[1:]
    unlisted = pd.DataFrame({"study_id": [1], "series_id": [2], "series_description": ["Axial T2"]})
    rows = fold_table(train, pd.concat([series, unlisted]), 4, seed=0)
    assert rows["study_id"].tolist() == train["study_id"].tolist()[1:]


def test_grades_that_nobody_knows_are_named() -> None:
    train = studies(4)
    train.loc[2, TARGETS[3]] = "Sever"
    with pytest.raises(UserError, match=rf"{TARGETS[3]} holds 'Sever'; .*did you mean 'Severe'"):
        check_grades(train)


def test_a_study_with_two_rows_is_named() -> None:
    with pytest.raises(UserError, match="study 100 has more than one row"):
        check_grades(pd.concat([studies(2), studies(1)]))


def test_shares_are_of_the_graded_targets_of_a_fold() -> None:
    train = studies(4)
    train[list(TARGETS)] = "Normal/Mild"
    train.loc[0, "spinal_canal_stenosis_l1_l2"] = "Severe"
    train.loc[0, "spinal_canal_stenosis_l2_l3"] = None
    rows = fold_table(train, one_series_each(train), 4, seed=0)
    fold = rows["fold"].iloc[0]
    shares = grade_shares(rows)[fold]
    assert shares["studies", ""] == 1
    assert shares["SCS", "Severe"] == 25.0
    assert shares["SCS", "missing"] == 20.0
    assert shares["NFN", "Normal/Mild"] == 100.0
