"""Make a synthetic competition: MRI studies of modelled patients, with every file of the Kaggle download.

The folder then looks like the real download to every other script, and holds besides: truth.csv and
truth_grades.csv (where things really are, and the grades without reading errors), SpineNet-like vertebra outlines,
and phantom.json (these options). The same options give the same bytes, whatever the number of workers. An interrupted
run goes on where it stopped when the same command is given again. See docs/phantom.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from lumbar.cli import DATA_DIR, parser, positive_int, probability, run
from lumbar.phantom.competition import Options, make_competition
from lumbar.phantom.plan import Size


def whole_number(text: str) -> int:
    """Parse an option that must be a whole number of at least 0 (for argparse's ``type=``)."""
    return 0 if text.strip() == "0" else positive_int(text)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    defaults = Options()
    options = parser(__doc__ or "", data=False)
    add = options.add_argument
    add("--out", type=Path, default=DATA_DIR, metavar="DIR", help="data folder to fill (default: %(default)s)")
    add("--studies", type=positive_int, default=defaults.studies, metavar="N",
        help="training studies (default: %(default)s)")  # fmt: skip
    add("--test-studies", type=whole_number, default=defaults.test_studies, metavar="N",
        help="test studies (default: %(default)s)")  # fmt: skip
    add("--seed", type=whole_number, default=defaults.seed, metavar="N", help="seed (default: %(default)s)")
    add("--size", choices=get_args(Size), default=defaults.size,
        help="small: 208-256 pixels; full: as the real data (default: %(default)s)")  # fmt: skip
    add("--irregular", type=probability, default=defaults.irregular, metavar="P",
        help="share of studies with one of the real data's oddities (default: %(default)s)")  # fmt: skip
    add("--force", action="store_true",
        help="delete another phantom that the folder holds, and start anew")  # fmt: skip
    return options.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the phantom and print a summary line."""
    args = parse(argv)
    options = Options(args.studies, args.test_studies, args.seed, args.size, args.irregular)
    made = make_competition(args.out, options, args.workers, args.force)
    kept = made.slices - made.rendered
    print(
        f"phantom in {args.out}: {made.studies} studies ({options.studies} train, {options.test_studies} test, "
        f"{made.irregular} irregular), {made.series} series, {made.slices} slices"
        + (f" ({kept} were already there)" if kept else "")
        + f" in {made.seconds:.1f} s ({made.rendered / made.seconds / args.workers:.1f} slices/s per worker)"
    )
    return 0


if __name__ == "__main__":
    run(main)
