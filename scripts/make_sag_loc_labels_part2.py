"""Make the stage-1 sagittal labels: the five level points on the slices of every sagittal series.

--source spinenet   from the vertebra outlines that part 1 wrote, moved by one level where SpineNet miscounted; a
                    series is kept only where the human coordinates say clearly which count is right.
--source coordinates   from the human coordinates alone, carried to the neighbouring slices. Needs no SpineNet.

Human points in a corner of their image, or far from where the other levels of their series have them, are left out and
listed.

Where the data has a truth.csv (synthetic data), also prints how near the labels are to it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lumbar.anatomy import SAGITTAL_T1, SAGITTAL_T2
from lumbar.cli import UserError, parser, run
from lumbar.labels.human import human_points
from lumbar.labels.misplaced import describe, misplaced
from lumbar.labels.sagittal_evaluation import shift_recovery, true_level_points, true_shift
from lumbar.labels.sagittal_labels import (
    carried_labels,
    choose_shift,
    level_points,
    read_outlines,
    sagittal_marks,
    shift_distances,
    shifted_labels,
)
from lumbar.localise.point_errors import References, sagittal_points
from lumbar.parallel import ordered_map
from lumbar.tables import (
    LABEL_COORDINATES,
    META,
    SAGITTAL_LABELS,
    TRAIN_SERIES,
    TRUTH,
    VERTEBRA_OUTLINES,
    read_table,
    write_table,
)


class Series(NamedTuple):
    """One sagittal series and what is known about it; a frame is None where a table has no row of it."""

    outlines: Path
    slices: pd.DataFrame | None
    human: pd.DataFrame | None
    truth: pd.DataFrame | None


class Result(NamedTuple):
    """What became of one series: its label rows, or why it has none."""

    labels: pd.DataFrame | None
    reason: str = ""
    warning: str = ""
    damaged: bool = False
    true_shift: int | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser(__doc__ or "")
    options.add_argument(
        "--source", choices=("spinenet", "coordinates"), default="spinenet", help="default: %(default)s"
    )
    args = options.parse_args(argv)

    meta = read_table(args.data, META)
    series = read_table(args.data, TRAIN_SERIES)
    truth = true_level_points(read_table(args.data, TRUTH)) if (args.data / TRUTH.path).is_file() else None
    marks = sagittal_marks(human_points(read_table(args.data, LABEL_COORDINATES)), meta)
    reasons = misplaced(marks)
    for line in describe(marks, reasons):
        print(f"left out: {line}", file=sys.stderr)
    human = marks[reasons == ""]
    sagittal = series.loc[series["series_description"].isin([SAGITTAL_T1, SAGITTAL_T2]), "series_id"].unique().tolist()
    if args.source == "spinenet":
        _require_outlines(args.data)
    tables = [_by_series(rows) for rows in (meta, human, truth)]
    items = [
        Series(args.data / VERTEBRA_OUTLINES.format(series_id=each), *(rows.get(each) for rows in tables))
        for each in sorted(sagittal)
    ]
    label = from_spinenet if args.source == "spinenet" else from_coordinates
    done = ordered_map(label, items, args.workers, "sagittal labels", unit="series")
    results = dict(zip(sorted(sagittal), done, strict=True))
    for result in results.values():
        if result.warning:
            print(f"warning: {result.warning}", file=sys.stderr)

    kept = [result.labels for result in results.values() if result.labels is not None]
    if not kept:
        raise UserError(f"{args.data}: no sagittal series can be labelled from {args.source}; {_dropped(results)}")
    labels = pd.concat(kept, ignore_index=True)
    if args.source == "coordinates":  # the published table, from outlines, has no such column
        labels["source"] = args.source
    path = write_table(labels, args.data, SAGITTAL_LABELS)
    print(f"{len(marks) - len(human)} of {len(marks)} human points left out, being misplaced")
    print(_summary(labels, results))
    if truth is not None:
        print(_against_truth(args.data, labels, results))
    print(f"{path}: {len(labels)} points in {len(kept)} series, from {args.source}")
    return int(any(result.damaged for result in results.values()))


def from_spinenet(series: Series) -> Result:
    """Label a series from its outlines, if the human points say which count of vertebrae is right."""
    path = series.outlines
    if series.slices is None:
        return Result(None, "no slice in the metadata table")
    if not path.is_file():
        return Result(None, "no outlines (run scripts/make_sag_loc_labels_part1.py)")
    try:
        points = level_points(read_outlines(path), series.slices)
    except UserError as error:
        warning = str(error) if str(path) in str(error) else f"{path}: {error}"
        return Result(None, "damaged outlines", warning, damaged=True)
    true = None if series.truth is None else true_shift(points, series.truth)
    if series.human is None:
        return Result(None, "no human point", true_shift=true)
    shift, reason = choose_shift(shift_distances(points, series.human))
    if shift is None:
        return Result(None, reason, true_shift=true)
    return Result(shifted_labels(points, shift, series.slices), true_shift=true)


def from_coordinates(series: Series) -> Result:
    """Label a series from its human points."""
    if series.slices is None:
        return Result(None, "no slice in the metadata table")
    if series.human is None:
        return Result(None, "no human point")
    try:
        return Result(carried_labels(series.human, series.slices))
    except UserError as error:
        return Result(None, "a slice without position, orientation or spacing", str(error))


def _require_outlines(data: Path) -> None:
    folder = (data / VERTEBRA_OUTLINES).parent
    if not any(folder.glob("*")):
        raise UserError(
            f"{folder}: holds no vertebra outlines; make them with scripts/make_sag_loc_labels_part1.py, "
            "or use --source coordinates, which needs none"
        )


def _by_series(rows: pd.DataFrame | None) -> dict[int, pd.DataFrame]:
    return {} if rows is None else {int(str(key)): group for key, group in rows.groupby("series_id")}


def _dropped(results: Mapping[int, Result]) -> str:
    reasons = Counter(result.reason for result in results.values() if result.labels is None)
    return "; ".join(f"{count} dropped: {reason}" for reason, count in reasons.most_common()) or "none dropped"


def _summary(labels: pd.DataFrame, results: Mapping[int, Result]) -> str:
    per_series = labels.groupby("series_id")["instance_number"].nunique()
    shifts = labels.groupby("series_id")["shift"].first().value_counts()
    return (
        f"{len(per_series)} of {len(results)} sagittal series kept ({len(per_series) / len(results):.1%}); "
        f"{_dropped(results)}\n"
        f"moved down by a level: {shifts.get(-1, 0)}, up: {shifts.get(1, 0)}, not moved: {shifts.get(0, 0)}; "
        f"slices per series: {per_series.mean():.1f} on average ({per_series.min()} to {per_series.max()})"
    )


def _against_truth(data: Path, labels: pd.DataFrame, results: Mapping[int, Result]) -> str:
    found = sagittal_points(References(data, truth_alone=True), labels).cases
    used = {each: None if result.labels is None else result.labels["shift"].iloc[0] for each, result in results.items()}
    misnamed, back, wrong = shift_recovery(used, {each: result.true_shift for each, result in results.items()})
    text = (
        f"against {TRUTH.path}: median distance {found['error'].median():.2f} mm ({found['px'].median():.2f} px), "
        f"{(found['error'] <= 10).mean():.1%} within 10 mm, {len(found)} points"
    )
    if misnamed:
        text += (
            f"\n{back} of {misnamed} series that SpineNet misnamed are back at the right level ({back / misnamed:.1%})"
        )
        text += f"; {wrong} series kept at a wrong level"
    return text


if __name__ == "__main__":
    run(main)
