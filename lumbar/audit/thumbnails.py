"""Small pictures of the slices that look wrong, with their points."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.audit.findings import Exhibit
from lumbar.html.pictures import LONGER_SIDE, read_cached_slice

COLOURS: Final = {"left": "#e69f00", "right": "#56b4e9", "canal": "#2bd98f", "stage 1": "#ff5ccd"}
"""Colour of each kind of mark; told apart in all common forms of colour blindness (after Okabe and Ito)."""


def thumbnail(data: Path, exhibit: Exhibit) -> NDArray[np.uint8] | None:
    """Draw a slice of the cache and its points.

    Parameters
    ----------
    data : Path
        The data folder.
    exhibit : Exhibit
        The slice. A mark outside the image is drawn at its edge.

    Returns
    -------
    ndarray, shape (H, W, 3), uint8, or None
        BGR, the longer side `LONGER_SIDE` pixels; None where the slice is in no cache.
    """
    picture = read_cached_slice(data, exhibit.study_id, exhibit.series_id, exhibit.instance_number)
    if picture is None:
        return None
    height, width = picture.shape
    scale = LONGER_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    for mark in exhibit.marks:
        position = np.array([mark.x, mark.y]) * scale
        centre = np.clip(np.rint(position), 5, np.array(size) - 6).astype(int).tolist()
        red, green, blue = bytes.fromhex(COLOURS[mark.kind].removeprefix("#"))
        cv2.circle(canvas, centre, 5, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.circle(canvas, centre, 5, (blue, green, red), 2, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)
