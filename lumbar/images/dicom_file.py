"""A DICOM file as such: a regular one of bounded size, parsed.

What comes from others may be a pipe that never ends, or inflate to more than there is memory.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, Final

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

MOST_BYTES: Final = 1 << 28
"""Of a file, and of what it inflates to: over 500 frames of 512 x 512 pixels."""

_FIRST_GROUPS: Final = (b"\2\0", b"\x08\0")
"""How a file without preamble begins: with group 2 or, where it lacks the file information too, with group 8."""


class FileError(Exception):
    """Why a file cannot be used, in one line."""


def read_regular(path: Path) -> bytes:
    """Read a file whole: a regular one, no pipe or device, which could keep the reader for ever.

    Raises
    ------
    OSError
        If it cannot be read.
    FileError
        If it is no regular file, empty, or over `MOST_BYTES`.
    """
    check_regular(path)
    return path.read_bytes()


def check_regular(path: Path) -> None:
    """Refuse what `read_regular` would not read, with the same errors."""
    stat = path.stat()
    if not path.is_dir() and not S_ISREG(stat.st_mode):
        raise FileError("cannot be read (no regular file, but a pipe, socket or device)")
    if not path.is_dir() and not stat.st_size:
        raise FileError("empty file")
    if stat.st_size > MOST_BYTES:
        raise FileError(f"file of {stat.st_size >> 20} MiB; more than {MOST_BYTES >> 20} are not read")


def check_inflation(file: BinaryIO) -> None:
    """Refuse a file of the deflated transfer syntax that inflates beyond `MOST_BYTES`; leave it at its beginning."""
    content = file.read(4096)
    if DeflatedExplicitVRLittleEndian.encode() in content:
        content += file.read()
    else:
        content = b""
    file.seek(0)
    if not content:
        return
    start = 144 + int.from_bytes(content[140:144], "little")  # behind the preamble and the group of file information
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[start:], MOST_BYTES + 1)
    except zlib.error as error:
        raise FileError("damaged or truncated DICOM file (cannot be inflated)") from error
    if len(inflated) > MOST_BYTES:
        raise FileError(f"inflates to more than {MOST_BYTES >> 20} MiB")


def parse(file: BinaryIO, **options: Any) -> pydicom.FileDataset:
    """Parse a file with `pydicom.dcmread`, also one that lacks the preamble, as old archives hold.

    Where such a file does not name its transfer syntax it is one of the two plain ones, which its first elements tell.

    Raises
    ------
    FileError
        If it is no DICOM file, or inflates beyond `MOST_BYTES`. A damaged file can raise nearly anything else.
    """
    check_inflation(file)
    try:
        return pydicom.dcmread(file, **options)
    except InvalidDicomError as error:
        file.seek(0)
        if file.read(2) not in _FIRST_GROUPS or file.read(2)[1:] != b"\0":
            raise FileError("not a DICOM file (no 'DICM' marker)") from error
        file.seek(0)
    dataset = pydicom.dcmread(file, force=True, **options)
    if "TransferSyntaxUID" not in dataset.file_meta:
        plain = ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = plain
    return dataset
