"""Stand-ins for missing series, and answers without an MLP or without any model."""

import numpy as np
import pandas as pd

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from lumbar.grades.class_shares import class_shares
from lumbar.predict.study_grades import combine, with_stand_ins

SERIES = pd.DataFrame(
    [(1, 10, SAGITTAL_T1), (1, 11, SAGITTAL_T2), (1, 12, AXIAL_T2), (2, 22, AXIAL_T2)],
    columns=["study_id", "series_id", "series_description"],
)


def test_stand_ins_are_for_series_that_are_missing_and_not_looked_at() -> None:
    made = with_stand_ins(SERIES, ("ss",)).iloc[len(SERIES) :]
    assert made[["study_id", "series_description"]].to_numpy().tolist() == [[2, SAGITTAL_T1], [2, SAGITTAL_T2]]
    assert made["series_id"].is_unique and (made["series_id"] < 0).all()
    assert with_stand_ins(SERIES, ("ss", "nfn", "scs")) is SERIES


def test_without_an_mlp_the_models_that_answered_are_averaged() -> None:
    first, second = np.full((1, 25, 3), np.nan), np.full((1, 25, 3), np.nan)
    first[:, :2], second[:, 1:3] = (0.6, 0.3, 0.1), (0.2, 0.5, 0.3)
    mean = combine({"a": first, "b": second}, None)
    np.testing.assert_allclose(mean[0, :3], [(0.6, 0.3, 0.1), (0.4, 0.4, 0.2), (0.2, 0.5, 0.3)])
    np.testing.assert_allclose(mean[0, 3:], class_shares()[3:])
