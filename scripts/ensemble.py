"""Train the MLP ensemble on every fold and compare it with the models that it combines.

python scripts/ensemble.py                                        (the three classifiers, from weights/)
python scripts/ensemble.py --oof a.csv b.csv --labels train.csv --folds train_folded_v1.csv
python scripts/ensemble.py --oof other.csv --configs cfg_dh_29a2 cfg_dh_12y8     (both kinds together)

Tables given with --oof are CSV files in the submission's format (row_id, normal_mild, moderate, severe) that hold
out-of-fold predictions of any other pipeline; rows may be missing or empty. The score of each fold comes from an MLP
that was trained on the other folds' rows; a model is scored on the studies that it predicted, beside the mean of models
on the same. Written to weights/<name>/: the checkpoints of each fold, oof.csv (the ensemble's own out-of-fold
predictions in the same format) and scores.csv.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lumbar.cli import parser, run
from lumbar.config import Config, describe, load_config

CONFIG = "cfg_mlp"
KEYS = ("name", "weights_dir", "seed", "mlp_views", "mlp_priors", "hidden_dim")
"""Keys of the config that are options here too; train.py -C cfg_mlp takes all of them, one fold at a time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, 1 (failed), 2 (bad use) or 128 + signal (stopped)."""
    options = vars(make_parser().parse_args(argv))
    cfg = make_config(options)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    from lumbar.grades import ensemble  # PyTorch takes seconds to import: mistakes in the command show before

    if options["labels"] or options["folds"]:
        path = ensemble.write_folds(cfg, options["labels"], options["folds"])
        cfg = dataclasses.replace(cfg, folds_table=str(path.absolute()))
    return ensemble.train_folds(cfg)


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


def make_config(options: dict[str, Any]) -> Config:
    """Build the config that all folds share, from the options as typed."""
    cfg = load_config(CONFIG, {key: options[key] for key in KEYS if options[key] is not None})
    configs = options["configs"]
    if configs is None:
        configs = () if options["oof"] else cfg.oof_configs
    return dataclasses.replace(
        cfg,
        data_dir=str(options["data"]),
        oof_configs=tuple(configs),
        oof=tuple(map(str, options["oof"])),
        seed=max(cfg.seed, 0),
    )


if __name__ == "__main__":
    run(main)
