"""Options of the aggregation commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from lumbar import cli


def make_parser(description: str, seeds: str) -> argparse.ArgumentParser:
    """Make the parser of the aggregation commands; `seeds` says which count by default."""
    parser = cli.parser(description, workers=False)
    parser.add_argument(
        "--weights", type=Path, default=Path("weights"), metavar="DIR", help="outputs' folder (default: %(default)s)"
    )
    parser.add_argument(
        "--folds", type=int, nargs="+", default=[0, 1, 2, 3], metavar="K", help="folds (default: 0 1 2 3)"
    )
    parser.add_argument(
        "--seed", type=int, default=-1, metavar="N", help=f"outputs of this seed (default: {seeds} of each fold)"
    )
    parser.add_argument("--allow-missing", action="store_true", help="go on without the folds that have no output")
    return parser
