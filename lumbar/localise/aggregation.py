"""From the localisers' outputs, fold by fold, to the tables of predicted points and slices."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import LEVELS
from lumbar.cli import UserError
from lumbar.engine import checkpoint
from lumbar.engine.runs import ANY_SEED, VAL_DATA, Run, fold_folder, runs_in
from lumbar.tables import AXIAL_XY, SAGITTAL_SLICES, SAGITTAL_XY, SLICE

_log = logging.getLogger(__name__)

PROBABILITIES: Final = "bce"
"""`mask_objective` under which `logits_mask` becomes a probability; otherwise the raw output is passed on."""

PUBLISHED: Final = "l1"
"""`mask_objective` and `count_objective` of the published networks."""


def find_outputs(
    weights: Path, config: str, folds: Sequence[int], seed: int, allow_missing: bool, all_seeds: bool = False
) -> list[Run]:
    """Choose the runs whose outputs count, fold by fold, and log which files they are.

    Parameters
    ----------
    weights : Path
        The folder of all configs' outputs.
    config : str
        Name of the localiser's config.
    folds : sequence of int
        The folds that are put together.
    seed : int
        Take this seed's; -1: any.
    allow_missing : bool
        Go on without the folds that have none.
    all_seeds : bool
        Take all of them, not only the newest.

    Raises
    ------
    UserError
        If a fold has none (names all of them), unless that is allowed; if there is none at all; for fold -1.
    """
    if min(folds) < 0:
        raise UserError(f"option --folds: fold {min(folds)} trained on every patient, so it holds none out", status=2)
    by_fold = {fold: runs_in(fold_folder(weights, config, fold), VAL_DATA, seed) for fold in folds}
    chosen = {fold: found if all_seeds else found[-1:] for fold, found in by_fold.items() if found}
    for fold, runs in chosen.items():
        left = len(by_fold[fold]) - len(runs)
        others = f", the newest of {left + 1}; --seed chooses another" if left else ""
        _log.info("fold %d: %s%s", fold, ", ".join(str(run.val_data) for run in runs), others)
    missing = [str(fold) for fold in by_fold if fold not in chosen]
    if missing and not (allow_missing and chosen):
        what = "no output" if seed == ANY_SEED else f"no output of seed {seed}"
        raise UserError(
            f"{weights / config}: {what} of fold {', '.join(missing)}; run the config on it (train.py, or "
            "infer_model1.sh for an inference config), or go on without it with --allow-missing"
        )
    return [run for runs in chosen.values() for run in runs]


def common_value(runs: Sequence[Run], key: str, chosen: str | None) -> str:
    """Find out with which value of a config key the networks behind some outputs were trained.

    Parameters
    ----------
    runs : sequence of Run
        Runs of one localiser.
    key : str
        `mask_objective` or `count_objective`: it says what the outputs mean.
    chosen : str or None
        The value that the user names, which stands above the snapshots.

    Raises
    ------
    UserError
        If the folds differ: their numbers have nothing in common.
    """
    if chosen is not None:
        return chosen
    values = {run.val_data: str(getattr(run.cfg, key)) for run in runs}
    if len(set(values.values())) > 1:
        listed = "; ".join(f"{path}: {value}" for path, value in values.items())
        option = f"--{key.replace('_', '-')}"
        raise UserError(f"the folds differ in {key} ({listed}); run them with one, or say {option}")
    return values[runs[0].val_data]


def read_output(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read what a network said about slices: `SLICE`, a column per entry of `logits`, `logits_mask` if there is one.

    Raises
    ------
    UserError
        If the file is damaged or does not hold that many logits per slice.
    """
    content = checkpoint.load(path)
    try:
        rows = pd.DataFrame({name: content[name].numpy() for name in SLICE})
        rows[list(columns)] = content["logits"].float().numpy()
    except (KeyError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: is not a localiser's output of {len(columns)} numbers per slice ({error})") from error
    if "logits_mask" in content:
        rows["logits_mask"] = content["logits_mask"].float().reshape(-1).numpy()
    return rows


def join_folds(outputs: Sequence[Path], columns: Sequence[str]) -> pd.DataFrame:
    """Put predictions together: one row per slice, sorted; a slice of several folds or seeds gets their mean.

    Slices with a prediction that is not finite are left out, and counted in the log.
    """
    rows = pd.concat([read_output(path, columns) for path in outputs], ignore_index=True)
    finite = np.isfinite(rows.to_numpy(np.float64)).all(axis=1)
    if not finite.all():
        _log.warning("%d of %d predictions are not finite and are left out", (~finite).sum(), len(rows))
    return rows[finite].groupby(SLICE, as_index=False).mean()


def axial_points(outputs: Sequence[Path]) -> pd.DataFrame:
    """Make the table `AXIAL_XY`: normalised left and right point of each axial slice."""
    return join_folds(outputs, AXIAL_XY.columns[2:])


def slice_scores(outputs: Sequence[Path]) -> pd.DataFrame:
    """Make the table `SAGITTAL_SLICES`: predicted numbers of foramina and canals on each sagittal slice."""
    return join_folds(outputs, SAGITTAL_SLICES.columns[2:])


def sagittal_points(outputs: Sequence[Path], meta: pd.DataFrame, mask_objective: str) -> pd.DataFrame:
    """Make the table `SAGITTAL_XY`: five level points per sagittal slice, in its pixels.

    Parameters
    ----------
    outputs : sequence of Path
        The sagittal localiser's outputs, fold by fold.
    meta : DataFrame
        `lumbar.tables.META`, for the slices' study and size.
    mask_objective : str
        Whether `logits_mask` becomes a probability (`PROBABILITIES`) or is passed on.

    Raises
    ------
    UserError
        If the metadata knows none of the slices.
    """
    joined = join_folds(outputs, [f"{axis}{number}" for number in range(len(LEVELS)) for axis in "xy"])
    if "logits_mask" not in joined:
        raise UserError(f"{outputs[0]}: has no logits_mask; it is not the output of a sagittal localiser")
    known = joined.merge(meta[[*SLICE, "study_id", "img_w", "img_h"]], on=SLICE)
    if len(known) < len(joined):
        _log.warning("the metadata lacks %d of %d slices; they are left out", len(joined) - len(known), len(joined))
    if known.empty:
        raise UserError(f"{outputs[0]}: none of its slices is in the metadata; it belongs to other data")
    if mask_objective == PROBABILITIES:
        known["logits_mask"] = (1 / (1 + np.exp(-known["logits_mask"].astype(np.float64)))).astype(np.float32)
    per_level = [
        known.assign(
            level=level,
            x=np.rint(known[f"x{number}"] * known["img_w"]).astype(np.int64),
            y=np.rint(known[f"y{number}"] * known["img_h"]).astype(np.int64),
        )[list(SAGITTAL_XY.columns)]
        for number, level in enumerate(LEVELS)
    ]
    return pd.concat(per_level).sort_values([*SLICE, "level"], ignore_index=True)
