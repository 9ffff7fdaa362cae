"""Stage-1 sagittal labels: the five level points on the slices of every sagittal series.

Two sources. *SpineNet*: a level point lies between the outlines of two vertebrae; since SpineNet can miscount by one
vertebra, a series is kept only where the human coordinates say clearly which count is right. *Coordinates*: the human
points alone, carried to the slices around them. Frames here hold a point in each row, and levels as 0 (L1/L2) to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import LEVELS, NFN, SCS, VERTEBRAE
from lumbar.cli import UserError
from lumbar.files import read_pickle
from lumbar.images.geometry import SlicePlane
from lumbar.labels.human import LEFT
from lumbar.tables import SAGITTAL_LABELS, SLICE

UPPER_SHARE: Final = 0.7
"""Weight of the upper vertebra's posterior-bottom corner; the lower one's posterior-top corner has the rest."""

SHIFTS: Final = (0, 1, -1)
"""Levels by which a whole series is moved up (+) or down (-) in the search for the right count (signs as published)."""

MIN_MARGIN: Final = 0.03
"""By how much the best shift must beat the second best (mean distance to the human points, share of the image)."""

MAX_DISTANCE: Final = 0.06
"""Under which mean distance to the human points, share of the image, a series is believed."""

CANAL_BEHIND: Final = 0.028
"""How far human canal points lie behind the level point, share of the image width (published labels)."""

FORAMEN_ABOVE: Final = 0.019
"""How far human foramen points lie above the level point, share of the image height (published labels)."""

FORAMEN_OFF_MIDLINE: Final = 17.0
"""Distance of the foramina from the mid-line, mm; only says where the vertebra is when one side is marked."""

HALF_WIDTH: Final = 25.0
"""Half the width of a lumbar vertebral body, mm: how far from the mid-line a point is carried to other slices.

Gives as many slices per series as SpineNet does (12.2 on the real data, SpineNet 12.3), and reaches the foramina, of
which 22 mm left 1.8 % (6.9 % at L5/S1) without a point."""

_FIRST_LEVEL: Final = VERTEBRAE.index("L1")


class Shift(NamedTuple):
    """The outcome of the shift test of one series."""

    shift: int | None
    """The shift to use, or None to drop the series."""
    reason: str
    """Why it is dropped; empty if it is not."""


def read_outlines(path: Path) -> list[dict[str, Any]]:
    """Read SpineNet's detections of one series.

    Parameters
    ----------
    path : Path
        A ``*_vert_dicts.p`` file.

    Returns
    -------
    list of dict
        ``predicted_label`` (str), ``slice_nos`` (ndarray (n,), int) and ``polys`` (ndarray (n, 4, 2): corners
        posterior-top, posterior-bottom, anterior-bottom, anterior-top) per vertebra.

    Raises
    ------
    UserError
        If the file is damaged or holds anything else.
    """
    outlines = read_pickle(path)
    if not isinstance(outlines, list):
        raise UserError(f"{path}: expected a list of vertebrae, found {type(outlines).__name__}")
    result = []
    for index, found in enumerate(outlines):
        try:
            label, slices = found["predicted_label"], np.asarray(found["slice_nos"])
            polys = np.asarray(found["polys"], np.float64)
        except (TypeError, KeyError, ValueError) as error:
            raise UserError(
                f"{path}: vertebra {index} is not {{predicted_label, slice_nos, polys}} ({error})"
            ) from error
        whole = slices.ndim == 1 and (slices.size == 0 or (slices.dtype.kind in "iu" and slices.min() >= 0))
        if not isinstance(label, str) or not whole or polys.shape != (*slices.shape, 4, 2):
            raise UserError(f"{path}: vertebra {index} needs a name, slice numbers from 0 and four corners per slice")
        if not np.isfinite(polys).all():
            raise UserError(f"{path}: vertebra {index} has a corner that is not a number")
        result.append({"predicted_label": label, "slice_nos": slices.astype(np.int64), "polys": polys})
    return result


def level_points(outlines: list[dict[str, Any]], slices: pd.DataFrame) -> pd.DataFrame:
    """Compute the points between neighbouring vertebrae T11 to S2, on every slice that shows both.

    Parameters
    ----------
    outlines : list of dict
        As `read_outlines` gives them. Of two vertebrae of one name, the one on more slices counts.
    slices : DataFrame
        Rows of the metadata table of this series; slice number n is the n-th row by ascending instance number.

    Returns
    -------
    DataFrame
        ``instance_number, level, x, y``: level 0 is L1/L2 and 4 is L5/S1, as SpineNet counts; x, y rounded.

    Raises
    ------
    UserError
        If the outlines name a slice that the series does not have.
    """
    instances = np.sort(slices["instance_number"].to_numpy())
    vertebrae: dict[str, dict[int, NDArray[np.float64]]] = {}
    for found in sorted(outlines, key=lambda each: len(each["slice_nos"])):
        vertebrae[found["predicted_label"]] = dict(zip(found["slice_nos"].tolist(), found["polys"], strict=True))
    last = max((number for corners in vertebrae.values() for number in corners), default=-1)
    if last >= len(instances):
        raise UserError(f"outlines name slice number {last} of a series of {len(instances)} slices (they count from 0)")
    rows = []
    for index, (upper, lower) in enumerate(pairwise(VERTEBRAE)):
        above, below = vertebrae.get(upper, {}), vertebrae.get(lower, {})
        for number in sorted(above.keys() & below.keys()):
            x, y = np.rint(UPPER_SHARE * above[number][1] + (1 - UPPER_SHARE) * below[number][0]).astype(int)
            rows.append((instances[number], index - _FIRST_LEVEL, x, y))
    return pd.DataFrame(rows, columns=["instance_number", "level", "x", "y"])


def sagittal_marks(points: pd.DataFrame, meta: pd.DataFrame) -> pd.DataFrame:
    """Select the human points of canals and foramina on slices that exist.

    Parameters
    ----------
    points : DataFrame
        As `lumbar.labels.human.human_points` gives them.
    meta : DataFrame
        Rows of the metadata table.

    Returns
    -------
    DataFrame
        The same columns, and the slice's ``img_h, img_w``.
    """
    sizes = meta[["series_id", "instance_number", "img_h", "img_w"]]
    return points[points["part"].isin([SCS, NFN])].merge(sizes, on=SLICE)


def shift_distances(points: pd.DataFrame, reference: pd.DataFrame) -> dict[int, float]:
    """Compare level points with reference points of the same series at every shift.

    Parameters
    ----------
    points : DataFrame
        As `level_points` gives them.
    reference : DataFrame
        ``instance_number, level, x, y, img_h, img_w``: the human points, or the truth.

    Returns
    -------
    dict of int to float
        Median distance (share of the image) per shift over the slices and levels that both have; inf if none.
    """
    result = {}
    for shift in SHIFTS:
        moved = points.assign(level=points["level"] - shift)
        both = moved.merge(reference, on=["instance_number", "level"], suffixes=("", "_reference"))
        across = (both["x"] - both["x_reference"]) / both["img_w"]
        down = (both["y"] - both["y_reference"]) / both["img_h"]
        result[shift] = float(np.median(np.hypot(across, down))) if len(both) else float("inf")
    return result


def choose_shift(distances: Mapping[int, float]) -> Shift:
    """Take the shift that is clearly nearest to the human points, if there is one."""
    (best, nearest), (_, second) = sorted(distances.items(), key=lambda item: item[1])[:2]
    if nearest == float("inf"):
        return Shift(None, "no human point on a slice and level with outlines")
    if nearest >= MAX_DISTANCE:
        return Shift(None, f"{MAX_DISTANCE} of the image or more away from the human points at every shift")
    if second - nearest <= MIN_MARGIN:
        return Shift(None, f"two shifts fit within {MIN_MARGIN} of the image")
    return Shift(best, "")


def shifted_labels(points: pd.DataFrame, shift: int, slices: pd.DataFrame) -> pd.DataFrame:
    """Make the label rows of one series from its level points: those of L1/L2 to L5/S1 after the shift."""
    moved = points.assign(level=points["level"] - shift, shift=shift)
    return _with_slice(moved[moved["level"].between(0, len(LEVELS) - 1)], slices)


def marked_levels(points: pd.DataFrame) -> pd.DataFrame:
    """Find the level points that belong to human points, on the slice of each: `x, y`, shares of the image's sides.

    A canal point is moved forwards by `CANAL_BEHIND`, a foramen point down by `FORAMEN_ABOVE`.

    Parameters
    ----------
    points : DataFrame
        As `sagittal_marks` gives them.
    """
    canal = points["part"] == SCS
    x = points["x"] / points["img_w"] - canal * CANAL_BEHIND
    return pd.DataFrame({"x": x, "y": points["y"] / points["img_h"] + ~canal * FORAMEN_ABOVE})


def carried_labels(points: pd.DataFrame, slices: pd.DataFrame) -> pd.DataFrame:
    """Make the label rows of one series from its human points alone.

    The level points of each level (`marked_levels`) are carried to every slice within `HALF_WIDTH` of the series'
    mid-line, linearly between two marked slices. The slices on which the level is marked always count.

    Parameters
    ----------
    points : DataFrame
        Rows of `sagittal_marks` of this series.
    slices : DataFrame
        Rows of the metadata table of this series.

    Raises
    ------
    UserError
        If a slice lacks the tags that say where it lies.
    """
    of_slice = slices.set_index("instance_number")
    across = of_slice.apply(_across, axis=1)
    side = np.select([points["part"] == SCS, points["side"] == LEFT], [0, 1], -1)  # towards the patient's left
    marked = marked_levels(points).assign(level=points["level"], across=points["instance_number"].map(across))
    midline = (marked["across"] - side * FORAMEN_OFF_MIDLINE).median()
    frames = []
    for level, of_level in marked.groupby("level"):
        near = across[((across - midline).abs() <= HALF_WIDTH) | across.isin(of_level["across"])]
        known = of_level.groupby("across")[["x", "y"]].mean()
        carried = {axis: np.interp(near, known.index, known[axis]) for axis in ("x", "y")}
        frames.append(pd.DataFrame({"instance_number": near.index, "level": level, "shift": 0, **carried}))
    labels = pd.concat(frames, ignore_index=True)
    for axis, length in (("x", "img_w"), ("y", "img_h")):
        size = labels["instance_number"].map(of_slice[length])
        labels[axis] = np.rint(labels[axis] * size).clip(0, size - 1).astype(int)
    return _with_slice(labels, slices)


def _across(row: pd.Series) -> float:
    """Return how far a sagittal slice's centre lies towards the patient's left, mm."""
    try:
        plane = SlicePlane.from_tags(row["ImagePositionPatient"], row["ImageOrientationPatient"], row["PixelSpacing"])
    except ValueError as error:
        raise UserError(f"series {row['series_id']}: {error}") from error
    return float(plane.to_patient([row["img_w"] / 2, row["img_h"] / 2])[0])


def _with_slice(labels: pd.DataFrame, slices: pd.DataFrame) -> pd.DataFrame:
    """Add what the metadata table knows about the slices; name the levels, order rows and columns as the table does."""
    columns = ["instance_number", "series_id", "study_id", "img_h", "img_w"]
    ordered = labels.merge(slices[columns], on="instance_number").sort_values(["instance_number", "level"])
    named = ordered.assign(level=ordered["level"].map(dict(enumerate(LEVELS))))
    return named[list(SAGITTAL_LABELS.columns)].reset_index(drop=True)
