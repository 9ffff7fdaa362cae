"""Deal the studies of train.csv to folds: whole patients, stratified over the 25 targets.

Reads train.csv and train_series_descriptions.csv, writes train_folded_v1.csv: one row per series with its study's
fold and grades. The same data and seed give the same folds. Prints how evenly the grades are shared out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from lumbar.cli import parser, positive_int, run
from lumbar.labels.folds import fold_table, grade_shares
from lumbar.tables import FOLDS, TRAIN, TRAIN_SERIES, read_table, write_table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser(__doc__ or "", workers=False)
    options.add_argument("--folds", type=_folds, default=4, metavar="N", help="number of folds (default: %(default)s)")
    options.add_argument("--seed", type=_seed, default=0, metavar="N", help="breaks ties (default: %(default)s)")
    args = options.parse_args(argv)

    train, series = read_table(args.data, TRAIN), read_table(args.data, TRAIN_SERIES)
    rows = fold_table(train, series, args.folds, args.seed)
    _report_left_out("in train.csv without a series, left out", train, series)
    _report_left_out("with series but not in train.csv, left out", series, train)
    path = write_table(rows, args.data, FOLDS)
    print(_as_text(grade_shares(rows)))
    print(f"{path}: {rows['study_id'].nunique()} studies, {len(rows)} series, {args.folds} folds, seed {args.seed}")
    return 0


def _as_text(shares: pd.DataFrame) -> str:
    """Lay out the summary: counts as whole numbers, shares in %, '-' where a fold has no grade at all."""
    lines = ["fold".ljust(20) + "".join(f"{fold:>8}" for fold in shares.columns)]
    for name, values in shares.iterrows():
        label = " ".join(name).strip() if isinstance(name, tuple) else str(name)
        unit = "" if label in ("studies", "series") else "%"
        cells = ("-" if pd.isna(value) else f"{value:.1f}%" if unit else f"{value:.0f}" for value in values)
        lines.append(label.ljust(20) + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)


def _report_left_out(what: str, rows: pd.DataFrame, others: pd.DataFrame) -> None:
    """Name the studies of one table that the other lacks."""
    ids = sorted(set(rows["study_id"]) - set(others["study_id"]))
    if ids:
        shown = ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")
        print(f"warning: {len(ids)} studies {what}: {shown}", file=sys.stderr)


def _folds(text: str) -> int:
    value = positive_int(text)
    if value < 2:
        raise argparse.ArgumentTypeError("must be at least 2")
    return value


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


if __name__ == "__main__":
    run(main)
