"""What the data holds, in small tables of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from lumbar.anatomy import CONDITION_PARTS, GRADES, PARTS, SERIES_TYPES, TARGETS
from lumbar.audit.inputs import SPLITS, Inputs
from lumbar.images.slices import tag_vectors
from lumbar.tables import META


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
    position, axes = tag_vectors(slices["ImagePositionPatient"], 3), tag_vectors(slices["ImageOrientationPatient"], 6)
    keys = slices["series_id"].to_numpy()
    _, first, code = np.unique(keys, return_index=True, return_inverse=True)
    normal = np.cross(axes[:, :3], axes[:, 3:])[first][code] if len(keys) else np.empty((0, 3))
    along = pd.DataFrame({"series_id": keys, "along": np.sum(position * normal, axis=1)}).sort_values(
        ["series_id", "along"]
    )
    return along.groupby("series_id")["along"].diff().groupby(along["series_id"]).median()


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
