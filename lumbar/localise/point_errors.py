"""How far localised points and slices lie from where they should be: every single distance, and their summary.

The reference is ``truth.csv`` where there is one (synthetic and outlined data), and else what humans marked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import AXIAL_T2, LEVEL_LABELS, LEVELS, NFN, SAGITTAL_T1, SAGITTAL_T2, SCS, SS
from lumbar.cli import UserError
from lumbar.images.slices import SliceIndex, millimetres
from lumbar.items.axial_crops import closest_slices
from lumbar.items.sequences import Floats, level_numbers
from lumbar.labels.human import LEFT, human_points, point_column
from lumbar.labels.misplaced import misplaced
from lumbar.labels.sagittal_labels import marked_levels
from lumbar.tables import (
    AXIAL_LEVELS,
    AXIAL_XY,
    LABEL_COORDINATES,
    META,
    SAGITTAL_SLICES,
    SAGITTAL_XY,
    SLICE,
    TRAIN_SERIES,
    TRUTH,
    Table,
    read_table,
)

SIDES: Final = ("left", "right")

SAGITTAL: Final = (SAGITTAL_T1, SAGITTAL_T2)

HUMAN: Final = "the human marks"

Z_COLUMNS: Final = {
    "left_nfn": ("left_foramen", SAGITTAL_T1),
    "right_nfn": ("right_foramen", SAGITTAL_T1),
    "scs": ("canal", SAGITTAL_T2),
}
"""Per column of the z localiser: the structure in truth.csv, and the series type on which humans mark it."""


@dataclass(frozen=True)
class Errors:
    """The errors of one localiser."""

    title: str
    """What was localised."""
    unit: str
    """``mm`` or ``slices``."""
    reference: str
    """What it is compared with."""
    groups: dict[str, Floats]
    """Errors of each level, side or kind; infinite where nothing was found."""
    cases: pd.DataFrame
    """For points one row per slice and point, for slices empty.

    `study_id, series_id, instance_number`, what was found (`x, y`) and what is right (`x_true, y_true`), pixels, `px`,
    and `error`, mm.
    """

    @property
    def values(self) -> Floats:
        """Errors of all groups."""
        return np.concatenate(list(self.groups.values()))


class References:
    """What the localisers' tables are compared with.

    Parameters
    ----------
    data : Path
        The data folder.
    truth_alone : bool
        Compare with ``truth.csv`` alone, which must be there.

    Raises
    ------
    UserError
        If the metadata or series descriptions are absent.
    """

    def __init__(self, data: Path, truth_alone: bool = False) -> None:
        self.data, self.truth_alone = data, truth_alone
        self.truth: pd.DataFrame | None = None
        if truth_alone or (data / TRUTH.path).is_file():
            self.truth = read_table(data, TRUTH)
        self.meta = read_table(data, META)
        kinds = read_table(data, TRAIN_SERIES).drop_duplicates("series_id")[["series_id", "series_description"]]
        if self.truth is not None:
            structure = self.truth.get("structure", "level")
            self.truth = self.truth.assign(structure=structure).merge(kinds, on="series_id")

    def true_points(self, structures: Sequence[str], kinds: Sequence[str]) -> pd.DataFrame | None:
        """Give the rows of the truth of some structures on series of some types; None where it has none."""
        if self.truth is None:
            return None
        wanted = self.truth["structure"].isin(structures) & self.truth["series_description"].isin(kinds)
        return self.truth[wanted] if wanted.any() or self.truth_alone else None

    def marks(self) -> pd.DataFrame:
        """Read the human marks on slices that exist, but the misplaced: of `human_points`, with ``img_w, img_h``."""
        points = human_points(read_table(self.data, LABEL_COORDINATES))
        points = points.merge(self.meta[[*SLICE, "img_w", "img_h"]].drop_duplicates(SLICE), on=SLICE)
        return points[misplaced(points) == ""]

    def measure(self, found: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
        """Join what was found with what is right (`x, y`, pixels) on some keys; add `px`, and `error`, mm."""
        meta = self.meta[[*SLICE, "study_id", "PixelSpacing"]].drop_duplicates(SLICE)
        both = found.drop(columns="study_id", errors="ignore").merge(meta, on=SLICE)
        both = both.merge(right[[*keys, "x", "y"]], on=keys, suffixes=("", "_true"))
        offset = both[["x", "y"]].to_numpy(float) - both[["x_true", "y_true"]].to_numpy(float)
        both["px"], both["error"] = np.linalg.norm(offset, axis=1), millimetres(offset, both["PixelSpacing"])
        return both[np.isfinite(both["error"])]


def sagittal_points(references: References, found: pd.DataFrame) -> Errors:
    """Measure the level points on sagittal slices; human marks count with their usual offsets undone."""
    right, reference = references.true_points(["level"], SAGITTAL), TRUTH.path
    if right is None:
        marks, reference = references.marks(), HUMAN
        marks = marks[marks["part"].isin([NFN, SCS])]
        right = marked_levels(marks).mul(marks[["img_w", "img_h"]].to_numpy()).join(marks[SLICE])
        right = right.assign(level=marks["level"].map(dict(enumerate(LEVELS))))
        right = right.groupby([*SLICE, "level"], as_index=False)[["x", "y"]].mean()
    cases = references.measure(found, right, [*SLICE, "level"])
    groups = {label: cases.loc[cases["level"] == level, "error"].to_numpy(float)
              for level, label in zip(LEVELS, LEVEL_LABELS, strict=True)}  # fmt: skip
    return Errors("Level points on sagittal slices", "mm", reference, groups, cases)


def axial_points(references: References, found: pd.DataFrame) -> Errors:
    """Measure the left and right points on axial slices; of two points of one side the mean is right."""
    right, reference = references.true_points([f"{side}_recess" for side in SIDES], [AXIAL_T2]), TRUTH.path
    if right is not None:
        right = right.assign(side=right["structure"].str.removesuffix("_recess"))
    else:
        marks, reference = references.marks(), HUMAN
        marks = marks[marks["part"] == SS]
        right = marks.assign(side=np.where(marks["side"] == LEFT, *SIDES))
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
    right = references.true_points([structure for structure, _ in Z_COLUMNS.values()], SAGITTAL)
    reference = HUMAN if right is None else TRUTH.path
    if right is not None:
        seen = list(zip(right["structure"], right["series_description"], strict=True))
        masks = [np.array([each == wanted for each in seen], dtype=bool) for wanted in Z_COLUMNS.values()]
    else:
        right = references.marks()
        masks = [point_column(right) == number for number in range(len(Z_COLUMNS))]
    slices = SliceIndex(references.meta[references.meta["series_id"].isin(found["series_id"])])
    order = slices.right_to_left()
    found_row = slices.find(found["series_id"], found["instance_number"])
    right_row = slices.find(right["series_id"], right["instance_number"])
    groups = {}
    for column, mask in zip(Z_COLUMNS, masks, strict=True):
        rating = np.full(len(slices), -np.inf)
        rating[found_row[found_row >= 0]] = found.loc[found_row >= 0, column]
        points = np.bincount(right_row[(right_row >= 0) & mask], minlength=len(slices))
        groups[column] = top_slice_offsets(rating[order], points[order], slices.series_id[order])
    return Errors("Best sagittal slice of each side and of the canal", "slices", reference, groups, pd.DataFrame())


def axial_slices(references: References, found: pd.DataFrame) -> Errors:
    """Measure how many slices the axial slice of a level is away from the right one."""
    right, reference = references.true_points(["level"], [AXIAL_T2]), TRUTH.path
    if right is not None:
        right = right.assign(level=level_numbers(right))
    else:
        marks, reference = references.marks(), HUMAN
        right = marks[marks["part"] == SS]
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


MEASURES: Final[tuple[tuple[str, Table, Callable[[References, pd.DataFrame], Errors]], ...]] = (
    ("sagittal points", SAGITTAL_XY, sagittal_points),
    ("axial points", AXIAL_XY, axial_points),
    ("foraminal and canal slices", SAGITTAL_SLICES, sagittal_slices),
    ("axial slices of the levels", AXIAL_LEVELS, axial_slices),
)
"""The localisers' tables: what each holds, and how it is measured."""


def localisation_errors(data: Path, notes: list[str]) -> list[Errors]:
    """Measure every table of the localisers that there is.

    Parameters
    ----------
    data : Path
        The data folder.
    notes : list of str
        Gets a line per table that cannot be measured.
    """
    results = []
    try:
        references = References(data)
    except UserError as error:
        notes.append(f"localisation is not measured: {error}")
        return []
    for name, table, measure in MEASURES:
        try:
            errors = measure(references, read_table(data, table))
        except UserError as error:
            notes.append(f"{name} are not measured: {error}")
            continue
        if len(errors.values):
            results.append(errors)
        else:
            notes.append(f"{name} are not measured: no slice of {table.path} has a reference ({errors.reference})")
    return results


def point_errors(
    predicted: Floats, target: Floats, mask: NDArray[np.bool_], slices: pd.DataFrame | None
) -> dict[str, float]:
    """Measure the distance between predicted and annotated points.

    Parameters
    ----------
    predicted, target : ndarray, shape (R, 2 P)
        x, y of P points per slice, normalised to the slice's width and height.
    mask : ndarray of bool, shape (R, 2 P)
        True where annotated.
    slices : DataFrame or None
        Per row the original slice's `img_w`, `img_h` (pixels) and `PixelSpacing` (between rows, between columns; mm),
        NaN where unknown. None: only normalised distances can be given.

    Returns
    -------
    dict
        ``points`` (how many are annotated) and of the distances ``mean_normalised median_normalised``; with `slices`
        also ``mean_px median_px mean_mm median_mm`` and the shares of points ``within_5px within_10px``. All over the
        annotated points, NaN when there are none; those in px or mm over the points whose slice's size is known.
    """
    offset = (predicted - target).reshape(len(target), -1, 2)  # (R, P, x y)
    annotated = mask.reshape(offset.shape).all(-1)
    distances = {"normalised": np.linalg.norm(offset, axis=-1)[annotated]}
    if slices is not None:
        pixels = offset * slices[["img_w", "img_h"]].to_numpy(dtype=np.float64)[:, None]
        distances["px"] = np.linalg.norm(pixels, axis=-1)[annotated]
        distances["mm"] = millimetres(pixels, slices["PixelSpacing"])[annotated]
    result = {"points": float(annotated.sum())}
    for unit, values in distances.items():
        known = values[np.isfinite(values)]
        result |= {f"mean_{unit}": _mean(known), f"median_{unit}": float(np.median(known)) if len(known) else np.nan}
        if unit == "px":
            result |= {f"within_{limit}px": _mean(known <= limit) for limit in (5, 10)}
    return result


def slice_errors(
    predicted: Floats, target: Floats, mask: NDArray[np.bool_], series_id: NDArray[np.int64]
) -> dict[str, float]:
    """Measure how well slices are rated, and whether the best-rated slice of a series is the right one.

    Parameters
    ----------
    predicted, target : ndarray, shape (R, K)
        Per slice: number of annotated points of K kinds.
    mask : ndarray of bool, shape (R, K)
        True where annotated.
    series_id : ndarray, shape (R)
        The slices of a series stand in their spatial order.

    Returns
    -------
    dict
        ``mean_absolute_error`` over annotated entries; ``top_slice_within_1``: the share of series and kinds whose
        best-rated slice is at most one slice away from a slice with the most points; ``tops``: how many those are.
        NaN when nothing is annotated.
    """
    points = np.where(mask, target, 0)
    kinds = range(target.shape[1])
    hits = np.concatenate([top_slice_offsets(predicted[:, kind], points[:, kind], series_id) for kind in kinds]) <= 1
    error = _mean(np.abs(predicted - target)[mask])
    return {"mean_absolute_error": error, "top_slice_within_1": _mean(hits), "tops": float(len(hits))}


def slice_sizes(meta: pd.DataFrame, rows: Mapping[str, NDArray[np.int64]]) -> pd.DataFrame:
    """Look up `img_w`, `img_h` and `PixelSpacing` of slices in the metadata; NaN for a slice that it lacks.

    Parameters
    ----------
    meta : DataFrame
        The metadata table.
    rows : mapping
        `series_id` and `instance_number`, each (R).
    """
    sizes = meta.drop_duplicates(SLICE).set_index(SLICE)[["img_w", "img_h", "PixelSpacing"]]
    return sizes.reindex(pd.MultiIndex.from_arrays([rows[key] for key in SLICE], names=SLICE))


def top_slice_offsets(rating: Floats, points: NDArray, series_id: NDArray[np.int64]) -> Floats:
    """Count by how many slices the best-rated slice of each series misses the nearest with the most points.

    Parameters
    ----------
    rating, points : ndarray, shape (R)
        Per slice: what it was rated, and how many annotated points it has.
    series_id : ndarray, shape (R)
        The slices of a series stand in their spatial order.

    Returns
    -------
    ndarray, shape (S)
        One count for each series that has points.
    """
    offsets = []
    for rows in pd.Series(range(len(series_id))).groupby(series_id, sort=False).indices.values():
        if points[rows].max() > 0:
            most = np.flatnonzero(points[rows] == points[rows].max())
            offsets.append(np.abs(most - rating[rows].argmax()).min())
    return np.array(offsets, dtype=np.float64)


def _mean(values: NDArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
