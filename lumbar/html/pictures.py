"""Slices as small pictures that stand in the page itself, and what is marked on them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lumbar.images.cache import cache_dir
from lumbar.images.volumes import read_png

Pixels = NDArray[np.uint8]

LONGER_SIDE: Final = 320
"""Longer side of a picture, where nothing else is said, pixels."""

CACHES: Final = ("v04", "v01", "v04published", "v01published")
"""Where a slice's picture is looked for: its own quantiles (v04) show more of it than a window set by hand."""

MAX_STRETCH: Final = 4.0
"""Ratio of row to column spacing from which it is taken for a wrong tag, and pixels for square."""

SHOWN: Final = (0.005, 0.99)
"""Shares of the pixels of a picture below its black and its white."""


class Mark(NamedTuple):
    """A point on a slice: x, y in its pixels, what it is (a class of the style sheet), and what is written beside."""

    x: float
    y: float
    kind: str
    label: str = ""


class Picture(NamedTuple):
    """A picture as a page shows it: a JPEG, and marks drawn over it by the browser."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str
    marks: tuple[Mark, ...] = ()
    """Their positions are in pixels of the picture."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height in pixels of the picture."""


def make_picture(
    image: Pixels,
    alt: str,
    caption: str = "",
    *,
    marks: Iterable[Mark] = (),
    box: ArrayLike | None = None,
    region: ArrayLike | None = None,
    spacing: tuple[float, float] = (1.0, 1.0),
    longer_side: int = LONGER_SIDE,
) -> Picture:
    """Scale a slice, or a part of it, for a page.

    Parameters
    ----------
    image : ndarray, shape (H, W), uint8
        The slice.
    alt, caption : str
        What a screen reader says, and what stands below.
    marks : iterable of Mark
        In pixels of the slice. Those outside the part shown, or not finite, are left out.
    box : array_like, shape (4), optional
        x0, y0, x1, y1 in pixels of the slice, ends excluded: drawn as a frame.
    region : array_like, shape (4), optional
        The part to show, in the same way; it is clipped to the slice. Default: all.
    spacing : tuple of float
        Distance between rows and between columns, mm: pixels come out square in the patient. Unknown or absurd ones
        count as equal.
    longer_side : int
        Of the picture, pixels.
    """
    height, width = image.shape
    x0, y0, x1, y1 = clip_region((0, 0, width, height) if region is None else region, width, height)
    rows, columns = spacing
    taller = rows / columns if rows > 0 and columns > 0 else 1.0
    if not 1 / MAX_STRETCH < taller < MAX_STRETCH:
        taller = 1.0
    scale = longer_side / max(x1 - x0, (y1 - y0) * taller)
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale * taller))
    ratio = np.array(size) / (x1 - x0, y1 - y0)
    smaller = size[0] < x1 - x0
    scaled = cv2.resize(image[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)

    def place(xy: ArrayLike) -> list[float]:
        # Pixel centres are at whole numbers, the corner of the picture at (0, 0).
        return [round(float(each), 1) for each in (np.asarray(xy, float) + 0.5 - (x0, y0)) * ratio]

    shown = [mark._replace(x=place((mark.x, mark.y))[0], y=place((mark.x, mark.y))[1]) for mark in marks
             if x0 <= mark.x < x1 and y0 <= mark.y < y1]  # fmt: skip
    frame = None
    if box is not None:
        low, high = np.asarray(box, float).reshape(2, 2) - 0.5
        corner = place(low)
        frame = (*corner, *np.round(place(high) - np.array(corner), 1).tolist())
    return Picture(data_uri(stretch_contrast(np.asarray(scaled, np.uint8))), *size, alt, caption, tuple(shown), frame)


def stretch_contrast(image: Pixels) -> Pixels:
    """Spread the grey values between the `SHOWN` quantiles over the whole range: what is shown is to be seen.

    The window of a slice is often set for bright tissue far from the spine.
    """
    low, high = np.quantile(image, SHOWN)
    if not high > low:
        return image
    return np.clip((image - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)


def clip_region(region: ArrayLike, width: int, height: int) -> tuple[int, int, int, int]:
    """Round a region x0, y0, x1, y1 to whole pixels inside a slice; at least one pixel wide and high."""
    x0, y0, x1, y1 = np.rint(np.nan_to_num(np.asarray(region, float))).astype(int).tolist()
    left, top = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return left, top, max(min(x1, width), left + 1), max(min(y1, height), top + 1)


def around(centre: ArrayLike, half: ArrayLike) -> NDArray[np.float64]:
    """Make the region x0, y0, x1, y1 around a point x, y; `half` of its side, pixels, or one per axis."""
    middle = np.asarray(centre, float)
    return np.concatenate([middle - half, middle + half])


def read_cached_slice(data: Path, study_id: int, series_id: int, instance_number: int) -> Pixels | None:
    """Read a training slice from the cache that shows most of it; None where no cache has it.

    Parameters
    ----------
    data : Path
        The data folder.
    study_id, series_id, instance_number : int
        The slice.
    """
    place = f"{study_id}/{series_id}/{instance_number}.png"
    pictures = (read_png(cache_dir(data / "train_images", version) / place) for version in CACHES)
    return next((each for each in pictures if each is not None), None)


def data_uri(picture: Pixels) -> str:
    """Encode a picture, grey or BGR, as a JPEG that stands in the page itself."""
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
