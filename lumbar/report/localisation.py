"""How far localised points and slices lie from where they should be: every single distance, not only the mean.

The reference is ``truth.csv`` where there is one (synthetic and outlined data), and else what the localisers were
trained on: stage-1 level points, human marks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import AXIAL_T2, LEVEL_LABELS, LEVELS, NFN, SAGITTAL_T1, SAGITTAL_T2, SCS, SS
from lumbar.cli import UserError
from lumbar.images.slices import SliceIndex, tag_vectors
from lumbar.items.axial_crops import closest_slices
from lumbar.items.sequences import Floats, level_numbers
from lumbar.labels.human import LEFT, human_points
from lumbar.tables import (
    AXIAL_LEVELS,
    AXIAL_XY,
    LABEL_COORDINATES,
    META,
    SAGITTAL_LABELS,
    SAGITTAL_SLICES,
    SAGITTAL_XY,
    TRAIN_SERIES,
    TRUTH,
    Table,
    read_table,
)

SLICE: Final = ["series_id", "instance_number"]

SIDES: Final = ("left", "right")

HUMAN: Final = "the human marks"

Z_COLUMNS: Final = {
    "left_nfn": ("left_foramen", SAGITTAL_T1),
    "right_nfn": ("right_foramen", SAGITTAL_T1),
    "scs": ("canal", SAGITTAL_T2),
}
"""Per column of the z localiser: the structure in truth.csv, and the series type on which humans mark it."""


@dataclass(frozen=True)
class Errors:
    """The errors of one localiser.

    Parameters
    ----------
    title : str
        What was localised.
    unit : str
        ``mm`` or ``slices``.
    reference : str
        What it is compared with.
    groups : dict of str to ndarray
        Errors of each level, side or kind; infinite where nothing was found.
    cases : DataFrame
        Of points: one row per slice and point, with `study_id, series_id, instance_number`, what was found (`x, y`),
        what is right (`x_true, y_true`, pixels) and `error`. Of slices: empty.
    """

    title: str
    unit: str
    reference: str
    groups: dict[str, Floats]
    cases: pd.DataFrame


class References:
    """What the localisers' tables are compared with.

    Parameters
    ----------
    data : Path
        The data folder.

    Raises
    ------
    UserError
        If the metadata or series descriptions are absent.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.meta = read_table(data, META)
        self.kinds = read_table(data, TRAIN_SERIES).drop_duplicates("series_id")[["series_id", "series_description"]]
        self.truth: pd.DataFrame | None = None
        if (data / TRUTH.path).is_file():
            truth = read_table(data, TRUTH)
            self.truth = truth.assign(structure=truth.get("structure", "level")).merge(self.kinds, on="series_id")

    def structures(self, names: tuple[str, ...]) -> pd.DataFrame | None:
        """Rows of the truth of some structures; None where there are none."""
        if self.truth is None or not self.truth["structure"].isin(names).any():
            return None
        return self.truth[self.truth["structure"].isin(names)]

    def marks(self, part: str) -> pd.DataFrame:
        """Human marks of a condition group, as `lumbar.labels.human.human_points` gives them."""
        points = human_points(read_table(self.data, LABEL_COORDINATES))
        return points[points["part"] == part]

    def measure(self, found: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
        """Join what was found with what is right (`x, y`, pixels) on some keys, and add `error`, mm."""
        meta = self.meta[[*SLICE, "study_id", "PixelSpacing"]].drop_duplicates(SLICE)
        both = found.drop(columns="study_id", errors="ignore").merge(meta, on=SLICE)
        both = both.merge(right[[*keys, "x", "y"]], on=keys, suffixes=("", "_true"))
        offset = both[["y", "x"]].to_numpy(float) - both[["y_true", "x_true"]].to_numpy(float)
        both["error"] = np.linalg.norm(offset * tag_vectors(both["PixelSpacing"], 2), axis=1)
        return both[np.isfinite(both["error"])]


def localisation_errors(data: Path, notes: list[str]) -> list[Errors]:
    """Measure every table of the localisers that there is.

    Parameters
    ----------
    data : Path
        The data folder.
    notes : list of str
        Gets a line per table that cannot be measured.
    """
    steps: tuple[tuple[str, Table, Callable[[References, pd.DataFrame], Errors]], ...] = (
        ("sagittal points", SAGITTAL_XY, sagittal_points),
        ("axial points", AXIAL_XY, axial_points),
        ("foraminal and canal slices", SAGITTAL_SLICES, sagittal_slices),
        ("axial slices of the levels", AXIAL_LEVELS, axial_slices),
    )
    results = []
    try:
        references = References(data)
    except UserError as error:
        notes.append(f"localisation is not measured: {error}")
        return []
    for name, table, measure in steps:
        try:
            errors = measure(references, read_table(data, table))
        except UserError as error:
            notes.append(f"{name} are not measured: {error}")
            continue
        if any(len(values) for values in errors.groups.values()):
            results.append(errors)
        else:
            notes.append(f"{name} are not measured: no slice of {table.path} has a reference ({errors.reference})")
    return results


def sagittal_points(references: References, found: pd.DataFrame) -> Errors:
    """Measure the level points on sagittal slices."""
    truth = references.structures(("level",))
    if truth is not None:
        right, reference = truth[truth["series_description"] != AXIAL_T2], TRUTH.path
    else:
        right, reference = read_table(references.data, SAGITTAL_LABELS), "the stage-1 labels it was trained on"
    cases = references.measure(found, right, [*SLICE, "level"])
    groups = {label: cases.loc[cases["level"] == level, "error"].to_numpy(float)
              for level, label in zip(LEVELS, LEVEL_LABELS, strict=True)}  # fmt: skip
    return Errors("Level points on sagittal slices", "mm", reference, groups, cases)


def axial_points(references: References, found: pd.DataFrame) -> Errors:
    """Measure the left and right points on axial slices; of two points of one side the mean is right."""
    truth = references.structures(tuple(f"{side}_recess" for side in SIDES))
    if truth is not None:
        right = truth[truth["series_description"] == AXIAL_T2].assign(
            side=lambda rows: rows["structure"].str.removesuffix("_recess")
        )
        reference = TRUTH.path
    else:
        marks = references.marks(SS)
        right, reference = marks.assign(side=np.where(marks["side"] == LEFT, *SIDES)), HUMAN
    right = right.groupby([*SLICE, "side"], as_index=False)[["x", "y"]].mean()
    sizes = found.merge(references.meta[[*SLICE, "img_w", "img_h"]].drop_duplicates(SLICE), on=SLICE)
    points = pd.concat(
        sizes[SLICE].assign(side=side, x=sizes[f"x_{side}"] * sizes["img_w"], y=sizes[f"y_{side}"] * sizes["img_h"])
        for side in SIDES
    )
    cases = references.measure(points, right, [*SLICE, "side"])
    groups = {side: cases.loc[cases["side"] == side, "error"].to_numpy(float) for side in SIDES}
    return Errors("Left and right points on axial slices", "mm", reference, groups, cases)


def sagittal_slices(references: References, found: pd.DataFrame) -> Errors:
    """Measure how many slices the best-rated slice of a series is away from one with the most points."""
    slices = SliceIndex(references.meta[references.meta["series_id"].isin(found["series_id"])])
    place = np.empty(len(slices), np.int64)  # of each slice from right to left
    place[slices.right_to_left()] = np.arange(len(slices))
    row = slices.find(found["series_id"], found["instance_number"])
    found = found[row >= 0].assign(place=place[row[row >= 0]]).sort_values("place")
    truth = references.structures(tuple(structure for structure, _ in Z_COLUMNS.values()))
    groups = {}
    for column, (structure, kind) in Z_COLUMNS.items():
        if truth is not None:
            right = truth[(truth["structure"] == structure) & (truth["series_description"] == kind)]
        else:
            marks = references.marks(SCS if column == "scs" else NFN)
            right = marks[(marks["side"] == LEFT) == (not column.startswith("right"))]
        row = slices.find(right["series_id"], right["instance_number"])
        counts = right[row >= 0].assign(place=place[row[row >= 0]]).value_counts(["series_id", "place"])
        most = counts[counts == counts.groupby("series_id").transform("max")].index.to_frame(index=False)
        top = found.loc[found.groupby("series_id")[column].idxmax(), ["series_id", "place"]]
        both = top.merge(most, on="series_id", suffixes=("", "_true"))
        off = (both["place"] - both["place_true"]).abs().groupby(both["series_id"]).min()
        groups[column] = off.to_numpy(float)
    reference = HUMAN if truth is None else TRUTH.path
    return Errors("Best sagittal slice of each side and of the canal", "slices", reference, groups, pd.DataFrame())


def axial_slices(references: References, found: pd.DataFrame) -> Errors:
    """Measure how many slices the axial slice of a level is away from the right one."""
    truth = references.structures(("level",))
    truth = None if truth is None else truth[truth["series_description"] == AXIAL_T2]
    if truth is not None and len(truth):
        right, reference = truth.assign(level=level_numbers(truth)), TRUTH.path
    else:
        right, reference = references.marks(SS), HUMAN
    slices = SliceIndex(references.meta[references.meta["series_id"].isin(right["series_id"])])
    row = slices.find(right["series_id"], right["instance_number"])
    right, row = right[row >= 0], row[row >= 0]
    level = right["level"].to_numpy(np.int64)
    mapped = closest_slices(found, slices)[slices.series_row(right["series_id"]), level]
    off = np.full(len(right), np.inf)
    near = ~np.isnan(mapped)
    off[near] = np.abs(slices.find(right["series_id"][near], mapped[near].astype(np.int64)) - row[near])
    groups = {label: off[level == number] for number, label in enumerate(LEVEL_LABELS)}
    return Errors("Axial slice of each level", "slices", reference, groups, pd.DataFrame())
