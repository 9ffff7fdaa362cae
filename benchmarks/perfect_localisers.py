"""The tables that faultless localisers would write, from truth.csv: what classifier items need, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from lumbar import tables
from lumbar.anatomy import AXIAL_T2, LEVELS
from lumbar.images.slices import SliceIndex
from lumbar.items.sequences import level_numbers
from lumbar.localise.axial_mapping import map_levels
from lumbar.tables import SLICE, read_table, write_table

USUAL_AXIAL_POINT: Final = (0.548, 0.527, 0.454, 0.527)
"""Normalised left and right point where truth.csv has no recesses: the means over the real data."""

FORAMEN_X: Final = (10.0, 22.0)
"""Distance of foraminal slices from the middle of the spine, mm."""


def write_tables(data: Path) -> None:
    """Write the four tables of the localisers into a data folder that has truth.csv, metadata and series types."""
    truth, meta, series = (read_table(data, table) for table in (tables.TRUTH, tables.META, tables.TRAIN_SERIES))
    is_axial = series.set_index("series_id")["series_description"].eq(AXIAL_T2)
    truth = truth.assign(structure=truth.get("structure", "level"))
    truth = truth[truth["series_id"].isin(is_axial.index)]
    on_axial = truth["series_id"].map(is_axial).astype(bool)
    meta = meta[meta["series_id"].isin(is_axial.index)]
    sagittal = SliceIndex(meta[~meta["series_id"].map(is_axial).astype(bool)])
    axial = SliceIndex(meta[meta["series_id"].map(is_axial).astype(bool)])
    points = sagittal_points(truth[(truth["structure"] == "level") & ~on_axial], sagittal)
    scores = foraminal_slices(points, sagittal)
    write_table(axial_points(truth[on_axial], axial), data, tables.AXIAL_XY)
    write_table(points, data, tables.SAGITTAL_XY)
    write_table(scores, data, tables.SAGITTAL_SLICES)
    write_table(map_levels(scores, points, meta, series), data, tables.AXIAL_LEVELS)


def sagittal_points(truth: pd.DataFrame, slices: SliceIndex) -> pd.DataFrame:
    """Give every slice the five points: the true ones, and the series' mean where it shows no spine."""
    row = slices.find(truth["series_id"], truth["instance_number"])
    xy = np.full((len(slices), len(LEVELS), 2), np.nan)
    xy[row, level_numbers(truth)] = truth[["x", "y"]]
    shown = ~np.isnan(xy).any(axis=(1, 2))
    series_row = slices.series_row(slices.series_id)
    for number in range(len(slices.series)):
        rows = np.flatnonzero(series_row == number)
        if np.isnan(xy[rows]).all(axis=(0, 2)).any():
            continue
        xy[rows] = np.where(np.isnan(xy[rows]), np.nanmean(xy[rows], axis=0), xy[rows])
    known = np.flatnonzero(~np.isnan(xy).any(axis=(1, 2)))
    slice_of, level = (grid.ravel() for grid in np.meshgrid(known, np.arange(len(LEVELS)), indexing="ij"))
    return pd.DataFrame(
        {
            "instance_number": slices.instance[slice_of],
            "series_id": slices.series_id[slice_of],
            "study_id": slices.study_id[slice_of],
            "level": np.array(LEVELS)[level],
            "logits_mask": np.where(shown[slice_of], 0.95, 0.05),
            "x": np.rint(xy[slice_of, level, 0]).astype(np.int64),
            "y": np.rint(xy[slice_of, level, 1]).astype(np.int64),
            "img_w": slices.size[slice_of, 0],
            "img_h": slices.size[slice_of, 1],
        }
    )


def foraminal_slices(points: pd.DataFrame, slices: SliceIndex) -> pd.DataFrame:
    """Call the slices some way left and right of the middle of the spine foraminal."""
    shown = points[points["logits_mask"] > 0.5].drop_duplicates(SLICE)
    row = slices.find(shown["series_id"], shown["instance_number"])
    middle = pd.Series(slices.position[row, 0]).groupby(slices.series_id[row]).mean()
    offset = slices.position[:, 0] - middle.reindex(slices.series_id).to_numpy()
    low, high = FORAMEN_X
    return pd.DataFrame(
        {
            "series_id": slices.series_id,
            "instance_number": slices.instance,
            "left_nfn": np.where((offset > low) & (offset < high), 3.0, 0.0),
            "right_nfn": np.where((-offset > low) & (-offset < high), 3.0, 0.0),
            "scs": np.where(np.abs(offset) < 3, 3.0, 0.0),
        }
    )


def axial_points(truth: pd.DataFrame, slices: SliceIndex) -> pd.DataFrame:
    """Give every axial slice the mean position of its series' true recesses, or the usual one."""
    result = pd.DataFrame({"series_id": slices.series_id, "instance_number": slices.instance})
    columns = tables.AXIAL_XY.columns[2:]
    result[list(columns)] = USUAL_AXIAL_POINT
    for structure, (x, y) in (("left_recess", columns[:2]), ("right_recess", columns[2:])):
        marked = truth[truth["structure"] == structure]
        for column, coordinate, size in ((x, "x", "img_w"), (y, "y", "img_h")):
            mean = (marked[coordinate] / marked[size]).groupby(marked["series_id"]).mean()
            result[column] = mean.reindex(result["series_id"]).fillna(result[column].iloc[0]).to_numpy()
    return result
