"""Sagittal grades to study targets: canal stenosis and foraminal narrowing; subarticular stenosis stays unknown."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from lumbar.anatomy import NFN, SCS
from lumbar.config import Config
from lumbar.grades.studies import gather_studies


def post_process_pipeline(cfg: Config, val_data: dict[str, Tensor], val_df: pd.DataFrame) -> dict[str, Tensor]:
    """Average the series of each study, level and condition.

    Parameters
    ----------
    cfg : config
        Not used.
    val_data : dict
        A classifier's output over the validation set.
    val_df : DataFrame
        Rows of the fold file.

    Returns
    -------
    dict
        `logits` (N, 25, 3), `target` (N, 25), `predicted` (N, 25), `study_id` (N), studies ascending; logits 0 and
        target -100 where nothing was predicted.
    """
    return gather_studies(val_data, val_df, (NFN, SCS)).output()
