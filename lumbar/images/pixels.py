"""Pixels of one frame: whether a header can be believed, and decoding exactly as pydicom does it.

What a header announces is compared with the data before anything is decoded, so that no file, however it was damaged
or made, takes much more memory than its picture.
"""

from __future__ import annotations

import io
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000TransferSyntaxes, RLELossless

from lumbar.images.dicom_file import MOST_BYTES, FileError

MOST_PIXELS: Final = 4096 * 4096
"""Of a slice; the largest MR slices have 1,024 x 1,024."""

EXCESS: Final = 2
"""Data may be so many times as long as the header says; some writers pad it."""

_PLAIN: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_RUN: Final = 64
"""Bytes that two bytes of run-length encoding can stand for, per byte."""


def contradiction(values: Mapping[str, Any], frames: int) -> str:
    """Say what in a header of a greyscale image cannot be; empty if nothing is."""
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored"):
        if not isinstance(values[keyword], int) or values[keyword] < 1:
            return f"lacks a usable {keyword}"
    rows, columns, allocated, stored = (values[key] for key in ("Rows", "Columns", "BitsAllocated", "BitsStored"))
    if rows * columns > MOST_PIXELS:
        return f"announces {columns} x {rows} pixels; more than 4096 x 4096 are not read"
    if stored > allocated:
        return f"BitsStored {stored} is more than BitsAllocated {allocated}"
    if values["PixelRepresentation"] not in (0, 1):
        return f"PixelRepresentation must be 0 or 1, not {values['PixelRepresentation']}"
    size = len(values["PixelData"])
    if not size:
        return "holds no pixel data (its element is empty)"
    expected = frames * (rows * columns * allocated + 7) // 8
    if size > EXCESS * expected + 4096:  # compressed pictures of few pixels have tables and padding
        return f"holds {size} bytes of pixels for {columns} x {rows} pixels of {allocated} bits; its header is wrong"
    return ""


def decode(dataset: pydicom.FileDataset, values: Mapping[str, Any], frame: int, frames: int) -> NDArray[np.integer]:
    """Decode one frame of a file in which there is no `contradiction`.

    Parameters
    ----------
    dataset : FileDataset
        The file.
    values : mapping
        Of its tags.
    frame, frames : int
        Which one, from 0, of how many.

    Returns
    -------
    ndarray, shape (H, W)
        What pydicom gives: the lowest BitsStored bits of each pixel, signed or not.

    Raises
    ------
    FileError
        If the pixels are cut off or cannot be decoded.
    """
    syntax, shape = dataset.file_meta.TransferSyntaxUID, (values["Rows"], values["Columns"])
    count, data = shape[0] * shape[1], values["PixelData"]
    if syntax in _PLAIN and values["BitsAllocated"] == 16:
        # What nearly all MR files are; pydicom takes ten times as long and gives the same.
        if len(data) < 2 * count * frames:
            raise FileError(f"pixels are cut off ({len(data)} of {2 * count * frames} bytes)")
        kind = "<i2" if values["PixelRepresentation"] else "<u2"
        plain = np.frombuffer(data, kind, count, 2 * count * frame).reshape(shape)
        unused = 16 - values["BitsStored"]
        return (plain << unused) >> unused if unused else plain
    try:
        if syntax.is_encapsulated:
            _check_codestream(get_frame(data, frame, number_of_frames=frames), syntax, count, values["BitsAllocated"])
        with _silent_stderr():
            stored = pixel_array(dataset, index=frame)
    except (KeyboardInterrupt, SystemExit, FileError):
        raise
    except BaseException as error:  # the RLE decoder, written in Rust, panics with a BaseException
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[min(1, len(lines) - 1)].strip()[:200]  # of several decoders' complaints the first one's
        raise FileError(f"pixels cannot be decoded ({syntax.name}): {reason}") from error
    if stored.shape != shape:
        raise FileError(f"pixels have shape {stored.shape}, expected {shape}")
    return stored


def _check_codestream(data: bytes, syntax: pydicom.uid.UID, count: int, bits: int) -> None:
    """Refuse a compressed frame that would decode to more than `EXCESS` times the `count` pixels of its header."""
    if syntax == RLELossless:
        limit = EXCESS * count * bits // 8
        large = len(data) * _RUN > max(limit, MOST_BYTES) and _run_length(data[64:], limit) > limit
        size = limit + 1 if large else 0
    else:
        limit = EXCESS * count
        width, height = _jpeg2000_size(data) if syntax in JPEG2000TransferSyntaxes else _jpeg_size(data)
        size = width * height
    if size > limit:
        raise FileError("its compressed pixels are far more than its header says")


def _run_length(data: bytes, limit: int) -> int:
    """Count the bytes that a run-length encoding stands for, up to about a limit."""
    place = size = 0
    while place < len(data) and size <= limit:
        control = data[place]
        size += 257 - control if control > 128 else control + 1 if control < 128 else 0
        place += 2 if control > 128 else control + 2 if control < 128 else 1
    return size


def _jpeg2000_size(data: bytes) -> tuple[int, int]:
    """Read width and height from a JPEG 2000 codestream's SIZ segment; 0, 0 where there is none."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 24:
        return 0, 0
    right, lower, left, upper = struct.unpack(">4I", data[start + 8 : start + 24])
    return max(0, right - left), max(0, lower - upper)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Read width and height from the frame header of JPEG or JPEG-LS; 0, 0 where there is none."""
    stream = io.BytesIO(data[2:])
    while len(head := stream.read(4)) == 4 and head[0] == 0xFF:
        marker, length = head[1], int.from_bytes(head[2:], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            frame = stream.read(5)
            return int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
        stream.seek(length - 2, io.SEEK_CUR)
    return 0, 0


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what native decoders print on stderr (libjpeg's complaints, Rust's panics) while the block runs."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
