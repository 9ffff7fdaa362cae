"""Grades of all conditions to study targets, gaps filled from the nearest level."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from lumbar.anatomy import PARTS
from lumbar.config import Config
from lumbar.grades.studies import fill_levels, gather_studies, with_full_labels


def post_process_pipeline(cfg: Config, val_data: dict[str, Tensor], val_df: pd.DataFrame) -> dict[str, Tensor]:
    """Average the series of each study, level and condition.

    Parameters
    ----------
    cfg : config
        Reads `pp_bwd_fwd_fill`: give levels without a prediction that of the nearest level, and score against all
        labels of the fold file, so that a level which was dropped on the way counts.
    val_data : dict
        A classifier's output over the validation set.
    val_df : DataFrame
        Rows of the fold file.

    Returns
    -------
    dict
        `logits` (N, 25, 3), `target` (N, 25), `predicted` (N, 25), `study_id` (N), studies ascending. A condition
        never predicted for a study has logits 0: all grades equally likely.
    """
    studies = gather_studies(val_data, val_df, PARTS)
    if cfg.pp_bwd_fwd_fill:
        studies = with_full_labels(fill_levels(studies), val_df)
    return studies.output()
