"""How far localised points and slices lie from the annotated ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
        row_col = np.array([_pair(spacing) for spacing in slices["PixelSpacing"]]).reshape(-1, 2)
        distances["px"] = np.linalg.norm(pixels, axis=-1)[annotated]
        distances["mm"] = np.linalg.norm(pixels * row_col[:, None, ::-1], axis=-1)[annotated]
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
    hits = []
    for rows in pd.Series(range(len(series_id))).groupby(series_id, sort=False).indices.values():
        for kind in range(target.shape[1]):
            points = np.where(mask[rows, kind], target[rows, kind], 0)
            if points.max() > 0:
                right = np.flatnonzero(points == points.max())
                hits.append(np.abs(right - predicted[rows, kind].argmax()).min() <= 1)
    error = _mean(np.abs(predicted - target)[mask])
    return {"mean_absolute_error": error, "top_slice_within_1": _mean(np.array(hits)), "tops": float(len(hits))}


def slice_sizes(meta: pd.DataFrame, rows: Mapping[str, NDArray[np.int64]]) -> pd.DataFrame:
    """Look up `img_w`, `img_h` and `PixelSpacing` of slices in the metadata; NaN for a slice that it lacks.

    Parameters
    ----------
    meta : DataFrame
        The metadata table.
    rows : mapping
        `series_id` and `instance_number`, each (R).
    """
    keys = ["series_id", "instance_number"]
    sizes = meta.drop_duplicates(keys).set_index(keys)[["img_w", "img_h", "PixelSpacing"]]
    return sizes.reindex(pd.MultiIndex.from_arrays([rows[key] for key in keys], names=keys))


def _pair(spacing: object) -> tuple[float, float]:
    return spacing if isinstance(spacing, tuple) and len(spacing) == 2 else (np.nan, np.nan)


def _mean(values: NDArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
