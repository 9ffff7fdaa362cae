"""How well a localiser finds points or slices, over annotated ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from torch import Tensor

from lumbar.config import Config
from lumbar.localise.point_errors import point_errors, slice_errors, slice_sizes
from lumbar.tables import META, read_table


def calc_metric(cfg: Config, pp_out: dict[str, Tensor], val_df: pd.DataFrame, pre: str = "val") -> dict[str, float]:
    """Measure the errors of a localiser.

    Parameters
    ----------
    cfg : config
        Reads `localises`, `data_dir` and `meta_table`: the metadata with the slices' sizes and pixel spacings.
    pp_out : dict
        A localiser's output over the validation set: `logits`, `target`, `target_mask` (R, K), `series_id`,
        `instance_number` (R). Without `target` nothing can be measured.
    val_df : DataFrame
        Not used.
    pre : str
        Name of the split, for the caller's log; not used.

    Returns
    -------
    dict
        ``score`` (lower is better) and, of a localiser of points, what `lumbar.localise.point_errors.point_errors`
        gives: the score is the median distance in mm, without metadata the normalised one. Of a localiser of slices,
        what `lumbar.localise.point_errors.slice_errors` gives: the score is the mean absolute error. NaN without
        `target`.
    """
    if "target" not in pp_out:
        return {"score": float("nan")}
    rows = {key: pp_out[key].cpu().numpy() for key in ("series_id", "instance_number")}
    predicted, target = (pp_out[key].double().cpu().numpy() for key in ("logits", "target"))
    mask = pp_out["target_mask"].bool().cpu().numpy()
    if cfg.localises == "slices":
        errors = slice_errors(predicted, target, mask, rows["series_id"])
        return {"score": errors["mean_absolute_error"], **errors}
    data, table = Path(cfg.data_dir), replace(META, path=cfg.meta_table)
    sizes = slice_sizes(read_table(data, table), rows) if (data / table.path).is_file() else None
    errors = point_errors(predicted, target, mask, sizes)
    return {"score": errors["median_normalised" if sizes is None else "median_mm"], **errors}
