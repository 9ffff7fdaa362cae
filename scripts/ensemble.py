"""Train the MLP ensemble on every fold and compare it with the models that it combines.

python scripts/ensemble.py                                        (the three classifiers, from weights/)
python scripts/ensemble.py --oof a.csv b.csv --labels train.csv --folds train_folded_v1.csv
python scripts/ensemble.py --oof other.csv --configs cfg_dh_29a2 cfg_dh_12y8     (both kinds together)

Tables given with --oof are CSV files in the submission's format (row_id, normal_mild, moderate, severe) that hold
out-of-fold predictions of any other pipeline; rows may be missing. The score of each fold comes from an MLP that was
trained on the other folds' rows. Written to weights/<name>/: the checkpoints of each fold, oof.csv (the ensemble's own
out-of-fold predictions in the same format) and scores.csv.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lumbar import tables
from lumbar.anatomy import SERIES_TYPES, TARGETS
from lumbar.cli import UserError, parser, run
from lumbar.config import Config, describe, load_config
from lumbar.engine import checkpoint
from lumbar.engine.experiment import output_folder
from lumbar.engine.run import run as train
from lumbar.engine.runs import Run
from lumbar.files import atomic_path
from lumbar.grades.combiner import COMBINED, MEAN, compare
from lumbar.grades.oof import check_overlap, gather, model_names
from lumbar.grades.scoring import all_scores, softmax
from lumbar.grades.submission import write_predictions
from lumbar.labels.folds import check_grades
from lumbar.labels.human import StudyGrades
from lumbar.report.scores import Baselines
from lumbar.tables import read_table, write_table

CONFIG = "cfg_mlp"
KEYS = (
    "name", "weights_dir", "seed", "mlp_members", "mlp_prior", "mlp_levels", "mlp_conditions", "oof_dropout",
    "hidden_dim", "epochs", "batch_size", "lr", "weight_decay",
)  # fmt: skip
"""Keys of the config that are options here too; train.py -C cfg_mlp takes all of them, one fold at a time."""

SHARES = "class shares"
"""Name, beside those of the models, of what is known without looking at a picture."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, 1 (failed), 2 (bad use) or 128 + signal (stopped)."""
    options = vars(make_parser().parse_args(argv))
    cfg = make_config(options)
    rows = read_table(Path(cfg.data_dir), dataclasses.replace(tables.FOLDS, path=cfg.folds_table))
    folds = predicted_folds(cfg, rows)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    outputs: dict[int, dict[str, Tensor]] = {}
    for fold in folds:
        run_cfg = dataclasses.replace(cfg, fold=fold)
        status = train(run_cfg, gpus=[])  # so small a network is faster without
        if status:
            return status
        outputs[fold] = checkpoint.load(Run(output_folder(run_cfg), run_cfg.seed).val_data)
    report(cfg, rows, outputs)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Make the parser: the inputs, and the keys of the config that matter here."""
    result = parser(__doc__ or "", workers=False)
    for option, about in (
        ("--labels", "grades: train.csv (default: those of the fold file)"),
        ("--folds", "folds: study_id, fold (default: train_folded_v1.csv in --data)"),
    ):
        result.add_argument(option, type=Path, metavar="FILE", help=about)
    result.add_argument(
        "--oof", type=Path, nargs="+", default=[], metavar="FILE", help="out-of-fold tables of other pipelines"
    )
    about = f"configs of which to take the predictions in --weights_dir (default: those of {CONFIG}; none with --oof)"
    result.add_argument("--configs", nargs="*", metavar="CONFIG", help=about)
    keys = result.add_argument_group("keys of the config (default)", "Without --seed, seed 0.")
    for key, _, value, about in describe(load_config(CONFIG)):
        if key in KEYS:
            keys.add_argument(f"--{key}", metavar="VALUE", help=f"{about} ({value!r})".replace("%", "%%"))
    return result


def make_config(options: dict[str, Any]) -> Any:
    """Build the config that all folds share, from the options as typed."""
    cfg = load_config(CONFIG, {key: options[key] for key in KEYS if options[key] is not None})
    configs = options["configs"]
    if configs is None:
        configs = () if options["oof"] else cfg.oof_configs
    cfg = dataclasses.replace(
        cfg,
        data_dir=str(options["data"]),
        oof_configs=tuple(configs),
        oof=tuple(map(str, options["oof"])),
        seed=max(cfg.seed, 0),
    )
    if options["labels"] or options["folds"]:
        path = write_folds(cfg, options["labels"], options["folds"])
        cfg = dataclasses.replace(cfg, folds_table=str(path.absolute()))
    return cfg


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


def shares_score(baselines: Baselines, output: dict[str, Tensor]) -> dict[str, float]:
    """Score what the class shares of the other folds alone would have predicted for the studies of an output."""
    row = np.searchsorted(baselines.study_id, output["study_id"].numpy())
    return all_scores(baselines.plain[row], output["target"].numpy())


def report(cfg: Config, rows: pd.DataFrame, outputs: dict[int, dict[str, Tensor]]) -> None:
    """Write the ensemble's out-of-fold predictions and the scores, and print these."""
    folder, names = Path(cfg.weights_dir) / cfg.name, model_names(cfg)
    pooled = {key: torch.cat([output[key] for output in outputs.values()]) for key in next(iter(outputs.values()))}
    order = pooled["study_id"].argsort()
    pooled = {key: value[order] for key, value in pooled.items()}
    write_predictions(folder / "oof.csv", pooled["study_id"].numpy(), softmax(pooled["logits"].numpy()))
    baselines = Baselines(rows)
    scored = {
        name: {SHARES: shares_score(baselines, output)} | compare(output, names)
        for name, output in [("all", pooled), *((str(fold), output) for fold, output in outputs.items())]
    }
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


if __name__ == "__main__":
    run(main)
