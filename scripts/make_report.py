"""Report on training runs: one HTML page of what is under weights/, whatever is there.

Scores by part, fold and seed against the class shares, confusion and reliability, localisation errors (against
truth.csv where there is one, else against the labels), learning curves, and the worst cases as pictures. What is
missing is named on the page. Needs nothing but the page to be read: pictures are inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lumbar.cli import parser, run
from lumbar.files import check_replaceable
from lumbar.html.page import PAGE_START


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser(__doc__ or "", workers=False)
    for option, default, about in (
        ("--weights", Path("weights"), "folder of the runs"),
        ("--out", Path("report.html"), "the page"),
    ):
        options.add_argument(option, type=Path, default=default, metavar="PATH", help=f"{about} (default: %(default)s)")
    options.add_argument("--configs", nargs="+", default=[], metavar="CONFIG", help="only these (default: all)")
    args = options.parse_args(argv)

    check_replaceable(args.out, PAGE_START)
    from lumbar.report.training import write_report  # PyTorch takes seconds to import: mistakes show before

    summary = write_report(args.data, args.weights, args.out, args.configs)
    print(
        f"{summary.path}: {summary.runs} runs of {summary.configs} configs, {summary.graded} of them with grades; "
        f"{summary.notes} notes on what is missing; {summary.path.stat().st_size / 1e6:.1f} MB"
    )
    return 0


if __name__ == "__main__":
    run(main)
