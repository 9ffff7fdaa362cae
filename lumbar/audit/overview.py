"""What the data holds, in small tables of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import CONDITION_PARTS, GRADES, PARTS, SERIES_TYPES, TARGETS
from lumbar.audit.inputs import SPLITS, Inputs, along_stacks
from lumbar.images.slices import tag_vectors
from lumbar.tables import META

SAME_PLACE: Final = 0.01
"""Distance up to which two slices lie at one place, mm."""

WAYS: Final = {1: "to left or head", -1: "to right or feet", 0: "neither"}
"""Which way instance numbers run."""


def overview(inputs: Inputs) -> Iterator[tuple[str, pd.DataFrame]]:
    """Count what is there.

    Yields
    ------
    title : str
        What is counted.
    rows : DataFrame
        Cells of text; the index names the rows.
    """
    yield "What is there", _counts(inputs)
    if "series" in inputs.tables:
        yield "Training series by type", _types(inputs)
    if "series" in inputs.tables and "meta" in inputs.tables:
        yield "Tags absent, share of the slices", _tags(inputs)
    if "train" in inputs.tables:
        yield "Grades, share of the graded targets", _grades(inputs)


def _counts(inputs: Inputs) -> pd.DataFrame:
    rows = {}
    for split in SPLITS:
        files = inputs.files[split]
        per_study = files.groupby("study_id")["series_id"].nunique().value_counts().sort_index()
        rows[split] = {
            "studies": f"{files['study_id'].nunique():,}",
            "series": f"{files['series_id'].nunique():,}",
            "slices": f"{len(files):,}",
            "series per study": ", ".join(f"{count} in {studies}" for count, studies in per_study.items()) or "-",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _types(inputs: Inputs) -> pd.DataFrame:
    kinds = inputs["series"].drop_duplicates("series_id")[["series_id", "series_description"]]
    files = inputs.files["train"].merge(kinds, on="series_id")
    meta = inputs["meta"].merge(kinds, on="series_id") if "meta" in inputs.tables else None
    rows = {}
    for kind in SERIES_TYPES:
        present = files[files["series_description"] == kind]
        per_series = present.groupby("series_id").size()
        rows[kind] = {
            "series": f"{len(per_series):,}",
            "slices": f"{len(present):,}",
            "per series": _spread(per_series),
        }
        if meta is not None:
            slices = meta[meta["series_description"] == kind]
            spacing = tag_vectors(slices["PixelSpacing"], 2)
            rows[kind] |= {
                "size, px": _sizes(slices),
                "spacing, mm": _spread(spacing, "{:.2f}"),
                "slice gap, mm": _spread(_gaps(slices), "{:.1f}"),
                "numbered": _directions(slices),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def _tags(inputs: Inputs) -> pd.DataFrame:
    kinds = inputs["series"].drop_duplicates("series_id")[["series_id", "series_description"]]
    meta = inputs["meta"].merge(kinds, on="series_id")
    tags = [tag for tag in META.columns if tag not in ("img_w", "img_h", "study_id", "series_id", "instance_number")]
    absent = meta[tags].isna().groupby(meta["series_description"]).mean().reindex(list(SERIES_TYPES))
    return absent.T.map(lambda share: "-" if pd.isna(share) else f"{share:.1%}")


def _grades(inputs: Inputs) -> pd.DataFrame:
    rows = {}
    for part in PARTS:
        columns = [target for target in TARGETS if CONDITION_PARTS[target.rsplit("_", 2)[0]] == part]
        cells = inputs["train"][columns].stack()
        graded = cells.isin(GRADES).sum()
        shares = {grade: f"{(cells == grade).sum() / graded:.1%}" if graded else "-" for grade in GRADES}
        total = len(inputs["train"]) * len(columns)
        rows[part.upper()] = {**shares, "not graded": f"{1 - graded / total:.1%}" if total else "-"}
    return pd.DataFrame.from_dict(rows, orient="index")


def _spread(values: pd.Series | np.ndarray, layout: str = "{:.0f}") -> str:
    """Write the median and the range of numbers."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return "-"
    show: Callable[[float], str] = layout.format
    return f"{show(np.median(known))} ({show(known.min())} to {show(known.max())})"


def _sizes(slices: pd.DataFrame) -> str:
    """Name the three commonest sizes."""
    counts = slices[["img_w", "img_h"]].value_counts()
    named = [f"{width} x {height}" for width, height in counts.index[:3]]
    return ", ".join(named) + (f" and {len(counts) - 3} more" if len(counts) > 3 else "") or "-"


def _gaps(slices: pd.DataFrame) -> pd.Series:
    """Median distance of neighbouring slices along the normal of the first slice, mm, per series."""
    along = along_stacks(slices)
    return along.groupby("series_id")["along"].diff().groupby(along["series_id"]).median()


def numbering(along: pd.DataFrame) -> pd.Series:
    """Tell per series which way its instance numbers run: 1 as the stack does, -1 against it, 0 neither.

    Slices at one place, and a series with a slice of unknown place, have no order that numbers could contradict.

    Parameters
    ----------
    along : DataFrame
        As `lumbar.audit.inputs.along_stacks` gives it.
    """
    steps = along.groupby("series_id")[["instance_number", "along"]].diff()
    sign = np.sign(steps["instance_number"]).where(steps["along"] > SAME_PLACE)
    extremes = sign.groupby(along["series_id"]).agg(["min", "max"])
    known = along["along"].notna().groupby(along["series_id"]).all()
    runs = extremes["min"].where(extremes["min"] == extremes["max"], 0).where(extremes["min"].notna(), 1)
    return runs.where(known, 1).astype(int)


def _directions(slices: pd.DataFrame) -> str:
    """Count the series by the way their instance numbers run."""
    counts = numbering(along_stacks(slices)).value_counts()
    return ", ".join(f"{counts[way]} {name}" for way, name in WAYS.items() if way in counts) or "-"


def as_text(rows: pd.DataFrame) -> list[str]:
    """Lay out a table of text in columns, one string per line."""
    cells = [
        ["", *rows.columns],
        *([str(name), *values] for name, values in zip(rows.index, rows.to_numpy(), strict=True)),
    ]
    widths = [max(len(str(cell)) for cell in column) + 2 for column in zip(*cells, strict=True)]
    return [
        "".join(str(cell).ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    ]
