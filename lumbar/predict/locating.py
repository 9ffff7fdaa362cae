"""Where the levels lie in new studies: the localisers' tables, made as the aggregation scripts make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from lumbar import tables
from lumbar.anatomy import LEVELS
from lumbar.engine import checkpoint
from lumbar.localise import aggregation
from lumbar.localise.axial_mapping import map_levels
from lumbar.predict.caching import Cached
from lumbar.predict.clock import Clock
from lumbar.predict.networks import SPREAD, Ensemble
from lumbar.roles import AXIAL, SAGITTAL, SLICES
from lumbar.tables import Table


class CanalSlice(NamedTuple):
    """The slice of a sagittal series that runs through the canal."""

    instance: int
    points: NDArray[np.float64]
    """Level points, shape (5, 2), pixels."""
    mask: float
    """Its `logits_mask`."""


@dataclass(frozen=True)
class Located:
    """The localisers' tables of some studies, also written to their data folder.

    A table is empty where its localiser lacks or found no slice.
    """

    sagittal: pd.DataFrame
    """`lumbar.tables.SAGITTAL_XY`."""
    axial: pd.DataFrame
    """`lumbar.tables.AXIAL_XY`."""
    slices: pd.DataFrame
    """`lumbar.tables.SAGITTAL_SLICES`."""
    levels: pd.DataFrame
    """`lumbar.tables.AXIAL_LEVELS`."""
    spread: dict[tuple[int, int], NDArray[np.float32]]
    """By series and instance number: by how much the networks disagree on x, y of each level, shape (5, 2).

    Standard deviations, in image widths and heights.
    """
    canal: dict[int, CanalSlice]
    """The slice of each sagittal series."""


def locate(cached: Cached, data: Path, localisers: Mapping[str, Ensemble], clock: Clock) -> Located:
    """Run the three localisers and map the levels to axial slices.

    Parameters
    ----------
    cached : Cached
        The studies.
    data : Path
        Their data folder.
    localisers : mapping of str to Ensemble
        By config, the sagittal one among them; another that is missing leaves its table empty, and those that build
        on it.
    clock : Clock
        Takes the time of each localiser.
    """
    meta, series = cached.meta, cached.series
    objective = localisers[SAGITTAL].cfg.mask_objective

    def predict(name: str) -> dict[str, Tensor]:
        return localisers[name].predict(series, data) if name in localisers else {}

    with clock("sagittal xy"):
        output = predict(SAGITTAL)
        sagittal = _tabulate(
            output, data, tables.SAGITTAL_XY, lambda found: aggregation.sagittal_points(found, meta, objective)
        )
        keys = zip(*(output[name].tolist() for name in tables.SLICE), strict=True) if output else ()
        spread = {key: values.numpy().reshape(-1, 2) for key, values in zip(keys, output.get(SPREAD, ()), strict=True)}
    with clock("axial xy"):
        axial = _tabulate(predict(AXIAL), data, tables.AXIAL_XY, aggregation.axial_points)
    with clock("sagittal z"):
        slices = _tabulate(predict(SLICES), data, tables.SAGITTAL_SLICES, aggregation.slice_scores)
    with clock("mapping"):
        counted = localisers[SLICES].cfg.count_objective if SLICES in localisers else aggregation.PUBLISHED
        levels = map_levels(slices, sagittal, meta, series, counted)
        tables.write_table(levels, data, tables.AXIAL_LEVELS)
    return Located(sagittal, axial, slices, levels, spread, canal_slices(sagittal, slices))


def _tabulate(
    output: dict[str, Tensor], data: Path, table: Table, make: Callable[[list[Path]], pd.DataFrame]
) -> pd.DataFrame:
    """Turn a localiser's output into its table, as the aggregation scripts do with the output of a fold."""
    if output:
        path = data / "weights" / f"{Path(table.path).stem}.pth"
        checkpoint.save(path, output)
        frame = make([path])
    else:
        frame = pd.DataFrame(columns=list(table.columns))
    tables.write_table(frame, data, table)
    return frame


def canal_slices(points: pd.DataFrame, scores: pd.DataFrame) -> dict[int, CanalSlice]:
    """Choose the slice of each sagittal series that runs through the canal.

    It is the one with the best canal score, and where `scores` lack a series that which shows the spine most surely.
    """
    chosen = {}
    scored = points.merge(scores, on=tables.SLICE, how="left")
    for _, rows in scored.groupby("series_id"):
        best = rows.sort_values(["scs", "logits_mask"], na_position="first", kind="stable").iloc[-1]
        on_slice = rows[rows["instance_number"] == best["instance_number"]].set_index("level").reindex(list(LEVELS))
        xy = on_slice[["x", "y"]].to_numpy(np.float64)
        chosen[int(best["series_id"])] = CanalSlice(int(best["instance_number"]), xy, float(best["logits_mask"]))
    return chosen
