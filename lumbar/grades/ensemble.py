"""Train the ensemble on every fold of a fold file, and score it beside the models that it combines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from lumbar import tables
from lumbar.anatomy import SERIES_TYPES, TARGETS
from lumbar.cli import UserError
from lumbar.config import Config
from lumbar.engine import checkpoint
from lumbar.engine.experiment import output_folder
from lumbar.engine.run import run
from lumbar.engine.runs import Run
from lumbar.files import atomic_path
from lumbar.grades.class_shares import shares_of_other_folds
from lumbar.grades.combiner import COMBINED, MEAN, compare, mean_of_models, scores_beside
from lumbar.grades.oof import check_overlap, gather, model_names
from lumbar.grades.scoring import softmax
from lumbar.grades.submission import write_predictions
from lumbar.labels.folds import check_grades
from lumbar.labels.human import StudyGrades
from lumbar.tables import read_table, write_table

SHARES: Final = "class shares"
"""Name, beside those of the models, of what is known without looking at a picture."""


def train_folds(cfg: Config) -> int:
    """Train an ensemble on all folds but one, for each that has predictions; write and print the scores.

    Returns
    -------
    int
        Exit status: 0, or 128 + signal when it was asked to stop.

    Raises
    ------
    UserError
        If the inputs cannot be used, or have fewer than two folds.
    """
    rows = read_table(Path(cfg.data_dir), dataclasses.replace(tables.FOLDS, path=cfg.folds_table))
    outputs: dict[int, dict[str, Tensor]] = {}
    for fold in tqdm(predicted_folds(cfg, rows), cfg.name, unit="fold", leave=False):
        run_cfg = dataclasses.replace(cfg, fold=fold)
        status = run(run_cfg, gpus=[])  # so small a network is faster without
        if status:
            return status
        outputs[fold] = checkpoint.load(Run(output_folder(run_cfg), run_cfg.seed).val_data)
    report(cfg, outputs)
    return 0


def write_folds(cfg: Config, labels: Path | None, folds: Path | None) -> Path:
    """Bring grades and folds from files of the user's into one fold file, under the ensemble's folder."""
    given = Path(cfg.data_dir) / cfg.folds_table if folds is None else folds
    needs = ("study_id", "fold") if labels else ("study_id", "fold", *TARGETS)
    rows = read_table(Path(), tables.Table(str(given), needs, tables.FOLDS.made_by)).drop_duplicates("study_id")
    if labels is not None:
        grades = read_table(Path(), dataclasses.replace(tables.TRAIN, path=str(labels)))
        rows = rows[["study_id", "fold"]].merge(grades[[*tables.TRAIN.columns]], on="study_id")
        if rows.empty:
            raise UserError(f"{labels} and {given} have no study_id in common")
    check_grades(rows)
    rows = rows.assign(series_id=0, series_description=SERIES_TYPES[0])  # no series is read
    return write_table(rows[list(tables.FOLDS.columns)], Path(cfg.weights_dir) / cfg.name, tables.FOLDS)


def predicted_folds(cfg: Config, rows: pd.DataFrame) -> list[int]:
    """List the folds for which there are predictions; before anything is trained, all inputs are checked."""
    study_id, probabilities = gather(cfg, rows)
    check_overlap(cfg, probabilities, StudyGrades(rows).grades)
    predicted = study_id[~np.isnan(probabilities).all((1, 2, 3))]
    folds = sorted(int(fold) for fold in rows.loc[rows["study_id"].isin(predicted), "fold"].unique())
    if len(folds) < 2:
        raise UserError(
            f"only fold {folds[0]} has predictions; training and scoring an ensemble needs two folds or more"
        )
    return folds


def scores(output: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Score all that `compare` does, and before it the class shares of the other folds."""
    mean = mean_of_models(output["probabilities"].double())
    shares = scores_beside(output["shares"].numpy(), mean.numpy(), output["target"].numpy())
    return {SHARES: shares} | compare(output, names)


def report(cfg: Config, outputs: dict[int, dict[str, Tensor]]) -> None:
    """Write the ensemble's out-of-fold predictions and the scores, and print these."""
    folder, names = Path(cfg.weights_dir) / cfg.name, model_names(cfg)
    pooled = {key: torch.cat([output[key] for output in outputs.values()]) for key in next(iter(outputs.values()))}
    order = pooled["study_id"].argsort()
    pooled = {key: value[order] for key, value in pooled.items()}
    write_predictions(folder / "oof.csv", pooled["study_id"].numpy(), softmax(pooled["logits"].numpy()))
    fold = torch.cat([torch.full((len(output["study_id"]),), fold) for fold, output in outputs.items()])[order]
    pooled["shares"] = torch.from_numpy(shares_of_other_folds(pooled["target"].numpy(), fold.numpy()))
    chosen = {"all": fold == fold} | {str(each): fold == each for each in outputs}
    scored = {name: scores({key: value[rows] for key, value in pooled.items()}, names) for name, rows in chosen.items()}
    table = pd.DataFrame(
        [{"fold": fold, "model": name, **parts} for fold, scores in scored.items() for name, parts in scores.items()]
    )
    with atomic_path(folder / "scores.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    print(
        table[table["fold"] == "all"]
        .drop(columns="fold")
        .to_string(index=False, float_format="{:.4f}".format, na_rep="-")
    )
    before, after = scored["all"][MEAN]["score"], scored["all"][COMBINED]["score"]
    print(
        f"{cfg.name}: score {after:.4f}, mean of models {before:.4f} ({after / before - 1:+.1%}); "
        f"{len(order)} studies, {len(outputs)} folds, each scored by an MLP trained on the others; "
        f"{folder / 'oof.csv'}, {folder / 'scores.csv'}"
    )
