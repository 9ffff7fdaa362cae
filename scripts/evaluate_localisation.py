"""Measure the aggregated localisations against truth.csv: how far points and slices lie from where things really are.

Synthetic and outlined data have a truth.csv; the real competition has not. What the truth or the tables do not cover
is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2
from lumbar.cli import UserError, parser, run
from lumbar.images.slices import SliceIndex
from lumbar.items.axial_crops import closest_slices
from lumbar.items.sequences import level_numbers
from lumbar.labels.sagittal_evaluation import accuracy, true_level_points
from lumbar.localise.point_errors import point_errors, slice_errors, slice_sizes
from lumbar.tables import (
    AXIAL_LEVELS,
    AXIAL_XY,
    META,
    SAGITTAL_SLICES,
    SAGITTAL_XY,
    TRAIN_SERIES,
    TRUTH,
    Table,
    read_table,
)

SLICE: Final = ["series_id", "instance_number"]

RECESSES: Final = ("left_recess", "right_recess")
"""Structures that the axial localiser finds, in the order of its points."""

Z_STRUCTURES: Final = (
    ("left_foramen", "left_nfn", SAGITTAL_T1),
    ("right_foramen", "right_nfn", SAGITTAL_T1),
    ("canal", "scs", SAGITTAL_T2),
)
"""Structures that the z localiser finds, its column for each, and the series type on which humans mark them."""

Measure = Callable[[pd.DataFrame, pd.DataFrame, pd.DataFrame], Iterator[str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, or 1 if nothing could be measured."""
    options = parser(__doc__ or "", workers=False).parse_args(argv)
    data: Path = options.data
    truth, meta, series = (read_table(data, table) for table in (TRUTH, META, TRAIN_SERIES))
    truth = truth.merge(series[["series_id", "series_description"]].drop_duplicates("series_id"), on="series_id")
    on_axial = truth["series_description"] == AXIAL_T2
    measured = 0
    for title, table, part, measure in (
        ("sagittal xy", SAGITTAL_XY, truth[~on_axial], sagittal_points),
        ("axial xy", AXIAL_XY, truth[on_axial], axial_points),
        ("sagittal z", SAGITTAL_SLICES, truth[~on_axial], sagittal_slices),
        ("axial slice of each level", AXIAL_LEVELS, truth[on_axial], axial_slices),
    ):
        lines = list(evaluate(data, table, part, meta, measure))
        measured += not lines[0].startswith("not measured")
        print("\n".join(f"{title}: {line}" for line in lines))
    return 0 if measured else 1


def evaluate(data: Path, table: Table, truth: pd.DataFrame, meta: pd.DataFrame, measure: Measure) -> Iterator[str]:
    """Measure one table; yields lines, or one that says why it could not be measured."""
    try:
        found = read_table(data, table)
    except UserError as error:
        yield f"not measured: {error}"
        return
    lines = list(measure(found, truth.assign(structure=truth.get("structure", "level")), meta))
    yield from lines or ["not measured: truth.csv has no such points on the series of the table"]


def sagittal_points(found: pd.DataFrame, truth: pd.DataFrame, meta: pd.DataFrame) -> Iterator[str]:
    """Compare level points with those of the same slice and level."""
    result = accuracy(found, true_level_points(truth), meta)
    if result.points:
        yield (
            f"median distance {result.median_mm:.2f} mm ({result.median_px:.2f} px), "
            f"{result.share_within_10_mm:.1%} within 10 mm of their own level, {result.points} points"
        )


def axial_points(found: pd.DataFrame, truth: pd.DataFrame, meta: pd.DataFrame) -> Iterator[str]:
    """Compare left and right points with the recesses on the same slice."""
    keys = truth.loc[truth["structure"].isin(RECESSES), SLICE].drop_duplicates()
    joined = keys.merge(found, on=SLICE)
    if joined.empty:
        return
    target = np.full((len(joined), 2 * len(RECESSES)), np.nan)
    for number, structure in enumerate(RECESSES):
        # A slice between two levels can show both; the mean is what such a slice was trained on.
        mean = truth[truth["structure"] == structure].groupby(SLICE)[["x", "y", "img_w", "img_h"]].mean()
        mean = mean.reindex(pd.MultiIndex.from_frame(joined[SLICE]))
        target[:, 2 * number] = mean["x"] / mean["img_w"]
        target[:, 2 * number + 1] = mean["y"] / mean["img_h"]
    sizes = slice_sizes(meta, {name: joined[name].to_numpy() for name in SLICE})
    predicted = joined[list(AXIAL_XY.columns[2:])].to_numpy(np.float64)
    errors = point_errors(predicted, np.nan_to_num(target), ~np.isnan(target), sizes)
    if errors["points"]:
        yield (
            f"median distance {errors['median_mm']:.2f} mm ({errors['median_px']:.2f} px), "
            f"{errors['points']:.0f} points"
        )


def sagittal_slices(found: pd.DataFrame, truth: pd.DataFrame, meta: pd.DataFrame) -> Iterator[str]:
    """Compare each series' best-rated slice with the slices that most of its foramina or canals are on."""
    slices = SliceIndex(meta[meta["series_id"].isin(found["series_id"])])
    predicted = np.full((len(slices), len(Z_STRUCTURES)), -np.inf)
    columns = [column for _, column, _ in Z_STRUCTURES]
    row = slices.find(found["series_id"], found["instance_number"])
    predicted[row[row >= 0]] = found.loc[row >= 0, columns]
    order = slices.right_to_left()
    for number, (structure, column, series_type) in enumerate(Z_STRUCTURES):
        points = truth[(truth["structure"] == structure) & (truth["series_description"] == series_type)]
        row = slices.find(points["series_id"], points["instance_number"])
        count = np.bincount(row[row >= 0], minlength=len(slices)).astype(np.float64)[:, None]
        rated = predicted[:, [number]]
        mask = np.isfinite(rated)
        errors = slice_errors(rated[order], count[order], mask[order], slices.series_id[order])
        if errors["tops"]:
            yield (
                f"{column}: top slice within one of the true one in {errors['top_slice_within_1']:.1%} "
                f"of {errors['tops']:.0f} series"
            )


def axial_slices(found: pd.DataFrame, truth: pd.DataFrame, meta: pd.DataFrame) -> Iterator[str]:
    """Compare the closest mapped axial slice of each level with the true disc slice, in slices of the series."""
    truth = truth[truth["structure"] == "level"]
    slices = SliceIndex(meta[meta["series_id"].isin(truth["series_id"])])
    if not len(slices):
        return
    row = slices.find(truth["series_id"], truth["instance_number"])
    truth, row = truth[row >= 0], row[row >= 0]
    level = level_numbers(truth)
    mapped = closest_slices(found, slices)[slices.series_row(truth["series_id"]), level]
    near = ~np.isnan(mapped)
    mapped_row = slices.find(truth["series_id"][near], mapped[near].astype(np.int64))
    off = np.full(len(truth), np.inf)
    off[near] = np.abs(mapped_row - row[near])
    yield (
        f"within one slice of the true one for {np.mean(off <= 1):.1%} of {len(off)} series-levels "
        f"({(off[near] <= 1).mean() if near.any() else 0:.1%} of the {near.sum()} that have a slice near enough)"
    )
    each = "  ".join(f"{name} {np.mean(off[level == number] <= 1):.1%}" for number, name in enumerate(LEVELS)
                     if (level == number).any())  # fmt: skip
    yield f"by level: {each}"


if __name__ == "__main__":
    run(main)
