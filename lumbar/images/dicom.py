"""One robust DICOM reader: a file goes in; a greyscale slice with a few tags comes out, or one clear reason why not.

Only the tags that the metadata table lists leave a file. Error messages name the file and the fault and quote no
tag of the patient. Handled: every transfer syntax that pydicom and its pylibjpeg plug-ins decode, either byte order,
signed pixels, rescale slope and intercept, MONOCHROME1, multi-valued or absent windows, absent or malformed tags.
The frames of an enhanced multi-frame image are slices. Refused, with the reason: colour images, files without pixels,
truncated or damaged files, headers that contradict their pixels.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.tag import BaseTag, Tag

from lumbar.cli import UserError
from lumbar.images.dicom_file import FileError, parse, read_regular
from lumbar.images.frames import PER_FRAME, SHARED, frame_values
from lumbar.images.geometry import FARTHEST, are_directions
from lumbar.images.pixels import contradiction, decode

VECTORS: Final = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
"""Tags kept as tuples of that many floats."""

NUMBERS: Final = ("SpacingBetweenSlices", "SliceThickness", "SliceLocation")
"""Tags kept as one float, mm."""

TEXTS: Final = ("PatientID", "PatientPosition", "SeriesDescription", "PhotometricInterpretation")
"""Tags kept as text."""

_PIXEL_TAGS: Final = (
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PlanarConfiguration", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelData",
    SHARED, PER_FRAME,
)  # fmt: skip
_KEYWORDS: Final = (*VECTORS, *NUMBERS, *TEXTS, *_PIXEL_TAGS)
_TAGS: Final = [Tag(keyword) for keyword in _KEYWORDS]

_COLOURS: Final = (
    "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT",
)  # fmt: skip
MOST_FRAMES: Final = 4096
"""Of a file; an enhanced MR file has tens to hundreds."""

_USABLE: Final[dict[str, Callable[[tuple[float, ...]], bool]]] = {
    "ImageOrientationPatient": lambda numbers: bool(are_directions(numbers)),
    "ImagePositionPatient": lambda numbers: max(map(abs, numbers)) < FARTHEST,
    "PixelSpacing": lambda numbers: 0 < min(numbers) <= max(numbers) < FARTHEST,
}
"""What else makes a vector usable; one that is not counts as absent."""

_BELIEVED: Final = 1e-9, 1e12
"""Smallest and greatest slope, intercept and window that are believed."""

_MALFORMED: Final = object()

Values = dict[str, Any]
"""The values of the tags that this module reads, by keyword."""

# What is wrong with a file is said once, by this module.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


class DicomError(UserError):
    """A file that is no usable slice; the message is one line: its path and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = " ".join(reason.split())

    def __reduce__(self) -> tuple[type[DicomError], tuple[Any, ...]]:  # workers send it to their parent
        return DicomError, (self.path, self.reason)


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """One greyscale slice.

    Parameters
    ----------
    tags : dict
        What `read_tags` returns.
    stored : ndarray, shape (H, W), integer
        Pixels as the file stores them.
    scale, offset : float
        ``stored * scale + offset`` are the pixels in the units of the rescale slope and intercept, bright where the
        picture is bright: MONOCHROME1 is undone by mirroring between the slice's extremes.
    window : (float, float) or None
        Low and high end of the file's first window, in the units of `pixels`; None where it is absent or not positive.
    window_tags : (float, float) or None
        Its centre and width as the file names them.
    """

    tags: dict[str, Any]
    stored: NDArray[np.integer]
    scale: float
    offset: float
    window: tuple[float, float] | None
    window_tags: tuple[float, float] | None = None

    @property
    def pixels(self) -> NDArray[np.floating]:
        """The slice in rescaled units, MONOCHROME1 undone, shape (H, W); float32, or float64 for 32-bit pixels."""
        return self.affine(self.scale, self.offset)

    def affine(self, scale: float, offset: float) -> NDArray[np.floating]:
        """Compute ``stored * scale + offset``, shape (H, W), in a float type that holds every stored value."""
        kind = np.float32 if self.stored.itemsize <= 2 else np.float64
        result: NDArray[Any] = self.stored.astype(kind)
        result *= kind(scale)
        result += kind(offset)
        return result


CRASHES: Final = "crashes the decoder, or takes more memory than there is"
"""What is wrong with a file whose reader does not come back."""


class MultiFrameError(DicomError):
    """A file of several slices, read without saying which.

    Parameters
    ----------
    path : Path
        The file.
    frames : list of dict
        What it says of each, as `lumbar.images.frames.frame_values` returns it.
    """

    def __init__(self, path: Path, frames: list[dict[str, Any]]) -> None:
        super().__init__(path, f"multi-frame image ({len(frames)} frames)")
        self.frames = frames

    def __reduce__(self) -> tuple[type[DicomError], tuple[Any, ...]]:
        return MultiFrameError, (self.path, self.frames)


class DicomFile:
    """A file that is read and parsed once, however many of its slices are asked for.

    Parameters
    ----------
    path : Path
        The file, ``<study>/<series>/<instance>.dcm``.
    content : bytes, optional
        Its content, where the caller has it already.

    Raises
    ------
    DicomError
        If it cannot be read, is empty or too large.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self.path = path
        self.content: bytes = _guarded(path, lambda: read_regular(path)) if content is None else content

    @cached_property
    def crc(self) -> int:
        """CRC-32 of the content."""
        return zlib.crc32(self.content)

    @cached_property
    def _dataset(self) -> pydicom.FileDataset:
        if not self.content:
            raise FileError("empty file")
        return parse(io.BytesIO(self.content), specific_tags=_TAGS)

    def tags(self, frame: int | None = None) -> dict[str, Any]:
        """Return the tags of a slice, without decoding its pixels.

        Parameters
        ----------
        frame : int, optional
            Which frame of a multi-frame file, from 0.

        Returns
        -------
        dict
            `VECTORS` (tuples of float), `NUMBERS` (float), `TEXTS` (str), NaN where absent or malformed; ``img_w`` and
            ``img_h`` (int). PatientID is kept only where it is the name of the study's folder, as in the competition:
            of any other DICOM it may be a hospital's identifier.

        Raises
        ------
        DicomError
            If the file is no greyscale image; `MultiFrameError` if it has several frames and none is named.
        """
        return _guarded(self.path, lambda: _tags(self.values(frame), self.path))

    def slice(self, frame: int | None = None) -> DicomSlice:
        """Return a slice: its tags, pixels and window.

        Raises
        ------
        DicomError
            As `tags` does; if its pixels are truncated or cannot be decoded.
        """
        return _guarded(self.path, lambda: _read_slice(self._dataset, self.values(frame), frame or 0, self.path))

    def storage(self) -> dict[str, Any]:
        """Return how the file stores its slices, without decoding its pixels.

        Returns
        -------
        dict
            ``syntax`` (str, the transfer syntax), ``compressed`` and ``signed`` (bool), ``photometric`` (str),
            ``windows`` (int, how many values WindowCenter has) and ``frames`` (int).

        Raises
        ------
        DicomError
            As `tags` does, but for several frames.
        """
        values = _guarded(self.path, lambda: self.values(0))
        syntax = self._dataset.file_meta.TransferSyntaxUID
        return {
            "syntax": syntax.name,
            "compressed": syntax.is_compressed,
            "signed": values["PixelRepresentation"] == 1,
            "photometric": values["PhotometricInterpretation"],
            "windows": len(_floats(values["WindowCenter"])),
            "frames": _frames(values),
        }

    def values(self, frame: int | None) -> Values:
        """Return the values of the tags, after a check that they are those of greyscale images."""
        return _values(self._dataset, frame, self.path)


def read_tags(path: Path) -> dict[str, Any]:
    """Return `DicomFile.tags` of a file of one slice."""
    return DicomFile(path).tags()


def read_slice(path: Path) -> DicomSlice:
    """Return `DicomFile.slice` of a file of one slice."""
    return DicomFile(path).slice()


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    """Read from a file; whatever goes wrong is an error of this file, and no warning reaches the screen."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return read()
    except DicomError:
        raise
    except FileError as error:
        raise DicomError(path, str(error)) from error
    except OSError as error:
        raise DicomError(path, f"cannot be read ({error.strerror})") from error
    except Exception as error:  # a damaged file can raise nearly anything; its text may quote tags
        raise DicomError(path, f"damaged or truncated DICOM file ({type(error).__name__})") from error


def _read_slice(dataset: pydicom.FileDataset, values: Values, frame: int, path: Path) -> DicomSlice:
    stored = decode(dataset, values, frame, _frames(values))
    tags = _tags(values, path)
    scale = (_floats(values["RescaleSlope"]) or (1.0,))[0] or 1.0
    offset = (_floats(values["RescaleIntercept"]) or (0.0,))[0]
    window_tags = _window(values)
    window = window_tags and (window_tags[0] - window_tags[1] / 2, window_tags[0] + window_tags[1] / 2)
    if tags["PhotometricInterpretation"] == "MONOCHROME1":
        mirror = scale * (float(stored.min()) + float(stored.max())) + 2 * offset  # darkest + brightest pixel
        scale, offset = -scale, mirror - offset
        window = window and (mirror - window[1], mirror - window[0])
    return DicomSlice(tags, stored, scale, offset, window, window_tags)


def _values(dataset: pydicom.FileDataset, frame: int | None, path: Path) -> Values:
    """Take out the values of a file's tags, and check that they are those of greyscale images."""
    if "PixelData" not in dataset:
        raise DicomError(path, "holds no pixel data (not an image, or cut off before it)")
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise DicomError(path, "does not say how its pixels are encoded (no transfer syntax)")
    values = {keyword: _value(dataset, tag) for keyword, tag in zip(_KEYWORDS, _TAGS, strict=True)}
    reason = _unusable(values)
    if reason:
        raise DicomError(path, reason)
    frames = _frames(values)
    if frames > 1 and frame is None:
        raise MultiFrameError(path, [frame_values(dataset, number) for number in range(frames)])
    if values[SHARED] is not None or values[PER_FRAME] is not None:
        values |= {key: value for key, value in frame_values(dataset, frame or 0).items() if key in values}
    extremes = [*_floats(values["RescaleSlope"])[:1], *_floats(values["WindowWidth"])[:1]]
    if not all(value <= 0 or _BELIEVED[0] < value for value in extremes) or not all(
        abs(value) < _BELIEVED[1]
        for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
        for value in _floats(values[keyword])[:1]
    ):
        raise DicomError(path, "its rescale slope, intercept or window is no number that grey values can have")
    return values


def _frames(values: Values) -> int:
    """Count the frames of a file whose values are usable."""
    return max(1, int((_floats(values["NumberOfFrames"]) or (1.0,))[0]))


def _value(dataset: pydicom.Dataset, tag: BaseTag) -> Any:
    """Return a tag's value; None where it is absent, _MALFORMED where it cannot be parsed."""
    try:
        element = dataset.get_item(tag)
        if element is None:
            return None
        if element.VR == "DS" and isinstance(element.value, bytes):  # pydicom takes ten times as long
            return [float(number) for number in element.value.rstrip(b"\0 ").split(b"\\")]
        return dataset[tag].value
    except Exception:  # pydicom parses a value when it is asked for, and a malformed one can raise nearly anything
        return _MALFORMED


def _unusable(values: Values) -> str:
    """Say why a file with these values holds no greyscale images; empty if it does."""
    photometric, frames = values["PhotometricInterpretation"], _floats(values["NumberOfFrames"])
    if not frames and values["NumberOfFrames"] not in (None, ""):
        return "NumberOfFrames is not a number"
    if frames and not (0 <= frames[0] <= MOST_FRAMES and frames[0].is_integer()):
        return f"NumberOfFrames {frames[0]:g} cannot be"
    if values["PixelData"] is None or values["PixelData"] is _MALFORMED:
        return "holds no pixel data (its element is empty)"
    if values["SamplesPerPixel"] not in (1, None):
        return "not a greyscale image (more than one sample per pixel)"
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        kind = f"PhotometricInterpretation {photometric}" if photometric in _COLOURS else "no PhotometricInterpretation"
        return f"not a greyscale image ({kind})"
    return contradiction(values, _frames(values))


def _tags(values: Values, path: Path) -> dict[str, Any]:
    """Pick the tags that may leave a file."""
    tags: dict[str, Any] = {}
    for keyword, count in VECTORS.items():
        numbers = _floats(values[keyword])
        usable = len(numbers) == count and _USABLE.get(keyword, lambda _: True)(numbers)
        tags[keyword] = numbers if usable else math.nan
    for keyword in NUMBERS:
        tags[keyword] = (_floats(values[keyword]) or (math.nan,))[0]
    for keyword in TEXTS:
        text = values[keyword]
        tags[keyword] = text.strip() if isinstance(text, str) and text.strip() else math.nan
    if tags["PatientID"] != path.absolute().parent.parent.name:
        tags["PatientID"] = math.nan
    return tags | {"img_w": values["Columns"], "img_h": values["Rows"]}


def _floats(value: Any) -> tuple[float, ...]:
    """Return a value as numbers; none where it is absent, empty, malformed or not finite."""
    try:
        numbers = (float(value),) if isinstance(value, str | int | float) else tuple(map(float, value))
    except (TypeError, ValueError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _window(values: Values) -> tuple[float, float] | None:
    """Return centre and width of the first window; None if absent or not positive."""
    centers, widths = _floats(values["WindowCenter"]), _floats(values["WindowWidth"])
    if not centers or not widths or widths[0] <= 0:
        return None
    return centers[0], widths[0]
