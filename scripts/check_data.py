"""Audit a download or a phantom: what is there, what is odd, and whether it is fit to train on.

Works before and after preparation: checks that need the metadata (scripts/prepare.py), the folds or the stage-1 labels
are skipped, and named, where those do not exist. Exit status 0: fit to train on; 1: not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lumbar.audit.inputs import Inputs
from lumbar.audit.overview_page import to_html
from lumbar.audit.report import CSV_COLUMNS, audit, to_csv, to_text
from lumbar.cli import parser, run
from lumbar.files import check_apart, check_replaceable, write_text
from lumbar.html.page import PAGE_START


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser(__doc__ or "", workers=False)
    options.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the slices that look wrong")
    options.add_argument("--csv", type=Path, metavar="FILE", help="also write a table of all cases of all findings")
    args = options.parse_args(argv)

    outputs = {option: path for option, path in (("--html", args.html), ("--csv", args.csv)) if path is not None}
    check_apart(outputs, {})
    for option, path in outputs.items():
        check_replaceable(path, {"--html": PAGE_START, "--csv": ",".join(CSV_COLUMNS)}[option])
    report = audit(Inputs(args.data))
    if args.html is not None:
        write_text(args.html, to_html(report, args.data))
    if args.csv is not None:
        write_text(args.csv, to_csv(report))
    print(to_text(report))
    return 0 if report.fit else 1


if __name__ == "__main__":
    run(main)
