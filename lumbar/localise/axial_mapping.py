"""Which axial slice shows a level: sagittal level points carried into the axial stacks of the same study."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1
from lumbar.images.geometry import to_patient
from lumbar.images.slices import SliceIndex
from lumbar.items.sequences import level_numbers
from lumbar.tables import AXIAL_LEVELS, SLICE

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)

FORAMEN_THRESHOLDS: Final = {"l1": 0.1, "l2": 0.5}
"""By `cfg.count_objective`: a sagittal slice is used if its larger foraminal prediction is over this.

0.1 is published: an L1 prediction is a median, and over it as soon as the slice more likely than not shows a foramen.
An L2 prediction is a mean, which such a slice brings to about 0.5 (with 0.1, most slices of a series count).
"""


def map_levels(
    scores: pd.DataFrame, points: pd.DataFrame, meta: pd.DataFrame, series: pd.DataFrame, count_objective: str = "l1"
) -> pd.DataFrame:
    """Find the axial slices closest to the level points of the foraminal slices of each sagittal series.

    Parameters
    ----------
    scores : DataFrame
        `lumbar.tables.SAGITTAL_SLICES`.
    points : DataFrame
        `lumbar.tables.SAGITTAL_XY`.
    meta : DataFrame
        `lumbar.tables.META`.
    series : DataFrame
        `study_id, series_id, series_description` of all series.
    count_objective : str
        What the z localiser learned, a key of `FORAMEN_THRESHOLDS`.

    Returns
    -------
    DataFrame
        `lumbar.tables.AXIAL_LEVELS`: one row per axial series, level and sagittal source series. The sources are the
        T1 series (published), and the T2 series of a study that has no T1 series with a foraminal slice. Slices
        without geometry tags are left out, and counted in the log.
    """
    foraminal = scores.loc[scores[["left_nfn", "right_nfn"]].max(axis=1) > FORAMEN_THRESHOLDS[count_objective]]
    used = points.merge(foraminal[SLICE], on=SLICE)
    slices = SliceIndex(meta)
    used = used.assign(row=slices.find(used["series_id"], used["instance_number"]))
    used = used[used["row"] >= 0]
    row, xy = used["row"].to_numpy(), used[["x", "y"]].to_numpy(np.float64)
    millimetres = to_patient(xy, slices.position[row], slices.orientation[row], slices.spacing[row])
    located = np.flatnonzero(np.isfinite(millimetres).all(axis=1))
    if len(located) < len(used):
        _log.warning("%d of %d level points lie on slices without geometry", len(used) - len(located), len(used))
    located = located[_sources(used.iloc[located], series)]
    used, millimetres = used.iloc[located], millimetres[located]
    stacks = series[series["series_description"] == AXIAL_T2].drop_duplicates("series_id")
    of_study = dict(iter(stacks.groupby("study_id")["series_id"]))
    of_points = used.groupby("study_id").indices
    rows = [
        row
        for study_id, numbers in of_points.items()
        for series_id in of_study.get(study_id, ())
        for row in _map_series(int(series_id), slices, used.iloc[numbers], millimetres[numbers])
    ]
    _log.info("%d foraminal slices, %d studies with axial series", len(foraminal), len(of_study))
    return pd.DataFrame(rows, columns=list(AXIAL_LEVELS.columns))


def _sources(used: pd.DataFrame, series: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which level points count: those of T1 series, and all of a study that has none there."""
    first_choice = used["series_id"].isin(series.loc[series["series_description"] == SAGITTAL_T1, "series_id"])
    without = ~used["study_id"].isin(used.loc[first_choice, "study_id"])
    _log.info("studies mapped from T2 series for want of a T1 source: %d", used.loc[without, "study_id"].nunique())
    return (first_choice | without).to_numpy()


def _map_series(
    series_id: int, slices: SliceIndex, used: pd.DataFrame, millimetres: Floats
) -> Iterator[tuple[int, str, int, list[int], list[float]]]:
    """Map level points into one axial series; yields rows of the table."""
    rows = slices.rows_of(series_id)
    normal = np.cross(slices.orientation[rows, :3], slices.orientation[rows, 3:])
    offset = (normal * slices.position[rows]).sum(axis=1)
    known = ~np.isnan(offset)
    if not known.any():
        return
    distance = np.abs(millimetres @ normal[known].T - offset[known])  # (points, slices)
    nearest, shortest = distance.argmin(axis=1), distance.min(axis=1)
    instance = slices.instance[rows[known][nearest]]
    sources, levels = used["series_id"].to_numpy(np.int64), level_numbers(used)
    for number, level in enumerate(LEVELS):
        for source in np.unique(sources):
            group = np.flatnonzero((sources == source) & (levels == number))
            order = group[np.argsort(shortest[group], kind="stable")]
            if len(order):
                yield series_id, level, int(source), instance[order].tolist(), shortest[order].tolist()
