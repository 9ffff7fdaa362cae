"""The competition's score: weighted log losses of the three condition groups and of "any severe canal stenosis"."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from lumbar.config import Config
from lumbar.grades.scoring import all_scores, missing_shares, softmax


def calc_metric(cfg: Config, pp_out: dict[str, Tensor], val_df: pd.DataFrame, pre: str = "val") -> dict[str, float]:
    """Score the grades of all studies.

    Parameters
    ----------
    cfg : config
        Not used.
    pp_out : dict
        Of `pp_dh_02` or `pp_dh_04`: `logits` (N, 25, 3), `target` (N, 25).
    val_df : DataFrame
        Not used: the labels stand in `pp_out`.
    pre : str
        Name of the split, for the caller's log; not used.

    Returns
    -------
    dict
        ``score`` (the mean of the parts that are defined, lower is better), the parts ``scs nfn ss any_severe`` (NaN
        when no label is known), ``missing_scs missing_nfn missing_ss`` (shares of labels), ``studies`` (a count).
    """
    target = pp_out["target"].cpu().numpy()
    scores = all_scores(softmax(pp_out["logits"].cpu().numpy()), target)
    missing = {f"missing_{part}": share for part, share in missing_shares(target).items()}
    return {**scores, **missing, "studies": float(len(target))}
