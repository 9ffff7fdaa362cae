"""Folds: whole patients, dealt so that every grade of the 25 targets is shared out evenly."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import CONDITION_PARTS, GRADES, PARTS, TARGETS
from lumbar.cli import UserError, nearest
from lumbar.tables import FOLDS, TRAIN, TRAIN_SERIES

STRATA: Final = (*GRADES[1:], None)
"""What is shared out per target: Moderate, Severe and missing; Normal/Mild is the rest."""


def check_grades(train: pd.DataFrame) -> None:
    """Check that ``train.csv`` holds one row per study and nothing but the three grades.

    Raises
    ------
    UserError
        Otherwise, naming the study, or the column and the value.
    """
    repeated = train.loc[train["study_id"].duplicated(), "study_id"]
    if len(repeated):
        raise UserError(f"{TRAIN.path}: study {repeated.iloc[0]} has more than one row; expected one row per study")
    for target in TARGETS:
        unknown = set(train[target].dropna()) - set(GRADES)
        if unknown:
            value = min(map(str, unknown))
            raise UserError(
                f"{TRAIN.path}: {target} holds {value!r}; expected {', '.join(GRADES)} or nothing"
                f"{nearest(value, GRADES)}"
            )


def assign_folds(train: pd.DataFrame, folds: int, seed: int) -> NDArray[np.int64]:
    """Deal studies to folds, stratified over the 25 targets.

    Iterative stratification (Sechidis et al., ECML 2011) over 75 indicators: `STRATA` of each target. Studies
    without any grade are dealt evenly too.

    Parameters
    ----------
    train : DataFrame
        Rows of ``train.csv``, one per study. The result does not depend on their order.
    folds : int
        Number of folds, at least 2.
    seed : int
        Breaks ties; the same seed gives the same folds.

    Returns
    -------
    ndarray, shape (studies,)
        Fold of each row, 0 .. folds - 1.

    Raises
    ------
    UserError
        If there are fewer studies than folds.
    """
    if len(train) < folds:
        raise UserError(
            f"{len(train)} studies cannot fill {folds} folds: each needs at least one; lower --folds, or add studies "
            f"to {TRAIN.path} and their series to {TRAIN_SERIES.path}"
        )
    order = np.argsort(train["study_id"].to_numpy(), kind="stable")
    grades = train[list(TARGETS)].iloc[order]
    indicators = np.hstack([grades.isna() if stratum is None else grades == stratum for stratum in STRATA])
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold  # takes a second to import, here alone it is needed

    dealer = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    result = np.empty(len(train), np.int64)
    for fold, (_, held_out) in enumerate(dealer.split(indicators, indicators)):
        result[order[held_out]] = fold
    return result


def fold_table(train: pd.DataFrame, series: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """Make the rows of ``train_folded_v1.csv``.

    Parameters
    ----------
    train : DataFrame
        Rows of ``train.csv``.
    series : DataFrame
        Rows of ``train_series_descriptions.csv``.
    folds, seed : int
        As `assign_folds`.

    Returns
    -------
    DataFrame
        One row per series whose study is in `train`, by study and series: identifiers, description, fold and the 25
        targets as text. Studies without a series take no part.
    """
    check_grades(train)
    studies = train[train["study_id"].isin(series["study_id"])]
    studies = studies.assign(fold=assign_folds(studies, folds, seed))
    rows = series.drop_duplicates("series_id").merge(studies, on="study_id")
    return rows.sort_values(["study_id", "series_id"], ignore_index=True)[list(FOLDS.columns)]


def grade_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Summarise a fold table: studies, series, and the share (%) of each grade per condition group, a column per fold.

    Shares are of the graded targets of the fold's studies; ``missing`` is of all targets.
    """
    studies = rows.drop_duplicates("study_id")
    counts = {"studies": studies.groupby("fold").size(), "series": rows.groupby("fold").size()}
    summary: dict[tuple[str, str], pd.Series] = {(name, ""): count for name, count in counts.items()}
    for part in PARTS:
        columns = [target for target in TARGETS if CONDITION_PARTS[target.rsplit("_", 2)[0]] == part]
        cells = studies.melt(id_vars="fold", value_vars=columns)
        shares = {grade: cells["value"].eq(grade).where(cells["value"].notna()) for grade in GRADES}
        for name, share in (*shares.items(), ("missing", cells["value"].isna())):
            summary[part.upper(), name] = (100 * share.astype(float)).groupby(cells["fold"]).mean().round(1)
    return pd.DataFrame(summary).T
