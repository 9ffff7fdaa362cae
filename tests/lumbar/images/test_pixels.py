"""Pixels are pydicom's or the file is refused in one line; headers that lie cost no memory."""

import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from lumbar.images import dicom_file
from lumbar.images import pixels as module
from lumbar.images.dicom import DicomError, read_slice, read_tags
from lumbar.images.preparation import SeriesJob, prepare_series

WriteDicom = Callable[..., Path]
NOISE = np.random.default_rng(0).integers(0, 1 << 16, (40, 48), dtype=np.uint16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train_images" / "1234" / "567" / "8.dcm"


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize(
    ("allocated", "stored", "high"),
    [
        (8, 8, 7),
        (8, 5, 4),
        (16, 16, 15),
        (16, 12, 11),
        (16, 12, 15),
        (16, 10, 9),
        (16, 1, 0),
        (32, 32, 31),
        (32, 20, 19),
    ],
)
def test_unused_bits_are_no_grey_values(
    write_dicom: WriteDicom, path: Path, allocated: int, stored: int, high: int, signed: int
) -> None:
    kind = {8: np.uint8, 16: np.uint16, 32: np.uint32}[allocated]
    pixels = np.random.default_rng(1).integers(0, 1 << allocated, (6, 8), dtype=np.uint64).astype(kind)
    write_dicom(path, pixels, BitsStored=stored, HighBit=high, PixelRepresentation=signed)
    np.testing.assert_array_equal(read_slice(path).stored, pydicom.dcmread(path).pixel_array)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"PixelData": b""}, "no pixel data"),
        ({"Rows": 9}, "its header is wrong"),
        ({"BitsStored": 17}, "BitsStored 17 is more than BitsAllocated 16"),
        ({"PixelRepresentation": 2}, "PixelRepresentation must be 0 or 1, not 2"),
        ({"WindowCenter": 1, "WindowWidth": "1e-300"}, "slope, intercept or window"),
        ({"RescaleSlope": "1e308", "RescaleIntercept": 0}, "slope, intercept or window"),
        ({"NumberOfFrames": -1}, "NumberOfFrames -1 cannot be"),
        ({"NumberOfFrames": "1.5"}, r"NumberOfFrames 1\.5 cannot be|not a number|damaged"),
        ({"Rows": 65535, "Columns": 65535}, "announces 65535 x 65535 pixels"),
        ({"Rows": 4096, "Columns": 4097}, "more than 4096 x 4096"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_headers_that_lie_are_refused(write_dicom: WriteDicom, path: Path, tags: dict[str, Any], reason: str) -> None:
    write_dicom(path, np.zeros((120, 48), np.uint16), **{"RescaleSlope": None, **tags})
    for read in (read_slice, read_tags):
        with pytest.raises(DicomError, match=reason):
            read(path)


def compressed(path: Path, write_dicom: WriteDicom, syntax: str, claimed: int, large: int) -> None:
    """Write a file that announces `claimed` squared pixels and holds `large` squared ones."""
    write_dicom(path, np.zeros((large, large), np.uint16), syntax)
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = claimed
    dataset.save_as(path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_data_that_would_grow_beyond_the_header_is_not_decoded(
    write_dicom: WriteDicom, path: Path, syntax: str
) -> None:
    compressed(path, write_dicom, syntax, 16, 2048)
    with pytest.raises(DicomError, match=r"far more than its header says|header is wrong"):
        read_slice(path)


def test_long_runs_are_counted_before_they_are_decoded(
    write_dicom: WriteDicom, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 16)
    dataset = pydicom.dcmread(write_dicom(path, NOISE, RLELossless))
    dataset.PixelData = encapsulate([bytes(64) + b"\x81\x00" * 2000])
    dataset.save_as(path)
    with pytest.raises(DicomError, match="far more than its header says"):
        read_slice(path)


def test_a_file_that_inflates_without_end_is_refused(
    write_dicom: WriteDicom, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_file, "MOST_BYTES", 1 << 20)
    content = write_dicom(path, NOISE, DeflatedExplicitVRLittleEndian).read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path.write_bytes(content[:start] + packer.compress(bytes(1 << 24)) + packer.flush())
    tracemalloc.start()
    with pytest.raises(DicomError, match="inflates to more than 1 MiB"):
        read_slice(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()


def test_what_is_wrong_with_one_file_costs_that_file(
    write_dicom: WriteDicom, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty picture, a pipe, a link to a device, and what no one expected."""
    folder = path.parent
    write_dicom(folder / "1.dcm", NOISE)
    write_dicom(folder / "2.dcm", NOISE, PixelData=b"")
    os.mkfifo(folder / "3.dcm")
    (folder / "4.dcm").symlink_to("/dev/zero")
    (folder / "5.dcm").symlink_to("/proc/self/status")
    write_dicom(folder / "6.dcm", NOISE, SeriesDescription="strange")
    decode = module.decode

    def strange(dataset: Any, values: dict[str, Any], *frames: int) -> Any:
        if values["SeriesDescription"] == "strange":
            raise ZeroDivisionError
        return decode(dataset, values, *frames)

    monkeypatch.setattr("lumbar.images.dicom.decode", strange)
    report = prepare_series(SeriesJob(tmp_path / "train_images", "1234", "567", ("v01",), force=False))
    assert [row["instance_number"] for row in report.rows] == [1]
    assert {path.name: reason for path, reason in report.failures} == {
        "2.dcm": "holds no pixel data (its element is empty)",
        "3.dcm": "cannot be read (no regular file, but a pipe, socket or device)",
        "4.dcm": "cannot be read (no regular file, but a pipe, socket or device)",
        "5.dcm": "empty file",
        "6.dcm": "damaged or truncated DICOM file (ZeroDivisionError)",
    }


def test_a_file_too_large_is_not_read(write_dicom: WriteDicom, path: Path) -> None:
    write_dicom(path, NOISE, ExplicitVRLittleEndian)
    os.truncate(path, dicom_file.MOST_BYTES + 1)  # sparse
    with pytest.raises(DicomError, match="file of 256 MiB; more than 256 are not read"):
        read_slice(path)
