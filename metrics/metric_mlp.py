"""The competition's score of an ensemble, beside the scores of the models that it combines and of their mean."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from lumbar.config import Config
from lumbar.grades.combiner import COMBINED, MEAN, compare
from lumbar.grades.oof import model_names
from lumbar.grades.scoring import ANY_SEVERE, SCORE, SCORED_PARTS
from metrics import metric_dh_02


def calc_metric(cfg: Config, pp_out: dict[str, Tensor], val_df: pd.DataFrame, pre: str = "val") -> dict[str, float]:
    """Score before and after.

    Parameters
    ----------
    cfg : config
        Reads the names of the models.
    pp_out : dict
        Output of `mdl_mlp`.
    val_df, pre
        As for `metric_dh_02`.

    Returns
    -------
    dict
        What `metric_dh_02` gives for the ensemble; the same parts of the mean of models as ``mean_*``, of each model
        as ``<model>_*``, on the studies that it predicted; NaN where it does not predict a condition group.
    """
    scores = compare(pp_out, model_names(cfg))
    del scores[COMBINED]
    before = {
        f"{'mean' if name == MEAN else name}_{part}": of_model[part]
        for name, of_model in scores.items()
        for part in (SCORE, *SCORED_PARTS, ANY_SEVERE)
    }
    return metric_dh_02.calc_metric(cfg, pp_out, val_df, pre) | before
