"""Grade new studies: a folder of DICOM files in, a submission and a report out.

python predict.py new_studies --out submission.csv --report report.html
python predict.py datamount/test_images --series datamount/test_series_descriptions.csv --out submission.csv

The folder may hold <study>/<series>/<instance>.dcm as Kaggle has it, folders of folders, or one pile of files. Without
--series the three series types are recognised by their headers. Every study gets all 25 rows; what could not be read
is listed with the reason. Run the same command again to go on after an interruption. Research software, no medical
device.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from lumbar import cli
from lumbar.anatomy import TARGETS
from lumbar.cli import UserError, parse_gpus, positive_int, run
from lumbar.files import check_apart, check_replaceable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, 1 if anything could not be used or a study got class shares alone."""
    options = make_parser().parse_args(argv)
    for path, what in ((options.series, "series descriptions"), (options.sample, "sample submission")):
        if path is not None and not path.is_file():
            raise UserError(f"{path}: no such file; expected the table of {what}", status=2)
    gpus = parse_gpus(options.gpu)
    work = options.work or options.out.with_name(f"{options.out.stem}_work")
    if options.out.is_dir():
        raise UserError(f"{options.out}: is a folder; expected the name of a CSV file to write", status=2)
    written = {"--out": options.out} | ({"--report": options.report} if options.report else {})
    written = {"--work": work} | written if options.work else written | {"--work": work}
    read = {"FOLDER": options.source, "--weights": options.weights, "--series": options.series}
    check_apart(written, read | {"--sample": options.sample})
    check_replaceable(options.out, "row_id,")
    if options.report is not None:
        check_replaceable(options.report, "<!DOCTYPE html>")
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    from lumbar.predict.prediction_run import (  # PyTorch takes seconds to import: mistakes in the command show before
        Options,
        Run,
    )

    start = time.monotonic()
    values = vars(options) | {"work": work, "gpus": gpus}
    prediction = Run(Options(**{field.name: values[field.name] for field in fields(Options)}))
    records = prediction()
    if options.report is not None:
        from lumbar.report.prediction import write_report

        with prediction.clock("report"):
            write_report(records, options.report)
        print(f"report: {options.report}")
    minutes = (time.monotonic() - start) / 60
    sources = ", ".join(f"{count} by {source}" for source, count in prediction.sources.most_common())
    print(f"time: {prediction.clock.summary()}")
    print(
        f"{options.out}: {len(records)} studies, {len(records) * len(TARGETS)} grades ({sources}); "
        f"{prediction.done} studies predicted now, {prediction.done / minutes:.1f} per minute; "
        f"{prediction.ungraded} with class shares alone; "
        f"{len(prediction.problems)} problems; records in {work}"
    )
    return int(bool(prediction.problems or prediction.ungraded))


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command."""
    parser = cli.parser(__doc__ or "", data=False)
    parser.add_argument("source", type=Path, metavar="FOLDER", help="of DICOM files, in any layout")
    parser.add_argument(
        "--series", type=Path, metavar="CSV", help="test_series_descriptions.csv (default: recognise by header)"
    )
    parser.add_argument(
        "--sample",
        type=Path,
        metavar="CSV",
        help="sample_submission.csv: rows and their order (default: that beside FOLDER if it lists the studies found)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("weights"),
        metavar="DIR",
        help="what train.py left, or scripts/pack_weights.py packed (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("submission.csv"), metavar="CSV", help="the submission (default: %(default)s)"
    )
    parser.add_argument("--report", type=Path, metavar="HTML", help="also write a report with pictures")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="for finished studies and caches at work (default: <out>_work)"
    )
    parser.add_argument(
        "-G", dest="gpu", metavar="GPU", help="GPU number; cpu or '' for the CPU (default: the first GPU, if any)"
    )
    parser.add_argument(
        "--studies-at-a-time", dest="at_a_time", type=positive_int, default=16, metavar="N",
        help="studies that are at work together; fewer take less memory and disk (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=positive_int, metavar="N", help="items at a time (default: as in validation, on a CPU 4)"
    )
    parser.add_argument("--force", action="store_true", help="predict finished studies again")
    parser.add_argument("--keep", action="store_true", help="keep caches and tables in the work folder")
    return parser


if __name__ == "__main__":
    run(main)
