import math
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from lumbar.images.dicom import NUMBERS, TEXTS, VECTORS, DicomError, DicomFile, read_slice, read_tags
from lumbar.tables import META

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8) * 20
WriteDicom = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "1234" / "567" / "8.dcm"


def test_the_tags_are_those_of_the_metadata_table() -> None:
    assert {*VECTORS, *NUMBERS, *TEXTS, "img_w", "img_h", "study_id", "series_id", "instance_number"} == {*META.columns}


def test_tags_of_a_complete_file(write_dicom: WriteDicom, path: Path) -> None:
    assert read_tags(write_dicom(path, RAMP)) == {
        "ImagePositionPatient": (-12.5, -100.0, 80.0),
        "ImageOrientationPatient": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        "PixelSpacing": (0.5, 0.75),
        "SpacingBetweenSlices": 4.5,
        "SliceThickness": 4.0,
        "SliceLocation": -12.5,
        "PatientID": "1234",
        "PatientPosition": "HFS",
        "SeriesDescription": "T2",
        "PhotometricInterpretation": "MONOCHROME2",
        "img_w": 8,
        "img_h": 6,
    }


def test_plain_pixels_are_what_the_file_stores(write_dicom: WriteDicom, path: Path) -> None:
    image = read_slice(write_dicom(path, RAMP))
    assert image.pixels.dtype == np.float32
    assert np.array_equal(image.pixels, RAMP)
    assert image.window is None


@pytest.mark.parametrize("keyword", [*VECTORS, *NUMBERS, "PatientID", "PatientPosition", "SeriesDescription"])
def test_an_absent_tag_is_nan(write_dicom: WriteDicom, path: Path, keyword: str) -> None:
    assert math.isnan(read_tags(write_dicom(path, RAMP, **{keyword: None}))[keyword])


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImagePositionPatient", [1, 2]),
        ("ImagePositionPatient", [1e9, 0, 0]),
        ("PixelSpacing", [0, 1]),
        ("PixelSpacing", [1e9, 1]),
        ("PixelSpacing", ""),
        ("SliceThickness", ""),
        ("PatientPosition", ""),
    ],
)
def test_a_malformed_tag_is_nan(write_dicom: WriteDicom, path: Path, keyword: str, value: object) -> None:
    assert math.isnan(read_tags(write_dicom(path, RAMP, **{keyword: value}))[keyword])


@pytest.mark.parametrize("frames", [None, 1, "", 0])
def test_one_frame_may_be_said_in_several_ways(write_dicom: WriteDicom, path: Path, frames: object) -> None:
    assert read_tags(write_dicom(path, RAMP, NumberOfFrames=frames))["img_h"] == 6


def test_a_number_that_is_none_is_nan(write_dicom: WriteDicom, path: Path) -> None:
    write_dicom(path, RAMP, SliceLocation="1234.5")
    path.write_bytes(path.read_bytes().replace(b"1234.5", b"12x4.5"))
    assert math.isnan(read_tags(path)["SliceLocation"])


def test_a_hospitals_patient_identifier_does_not_leave_the_file(write_dicom: WriteDicom, path: Path) -> None:
    assert math.isnan(read_tags(write_dicom(path, RAMP, PatientID="MRN-0042"))["PatientID"])


def test_rescale_slope_and_intercept(write_dicom: WriteDicom, path: Path) -> None:
    image = read_slice(
        write_dicom(path, RAMP, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=400, WindowWidth=600)
    )
    assert np.array_equal(image.pixels, RAMP * 2.0 - 100)
    assert image.window == (100, 700)


def test_a_slope_of_zero_counts_as_absent(write_dicom: WriteDicom, path: Path) -> None:
    assert np.array_equal(read_slice(write_dicom(path, RAMP, RescaleSlope=0)).pixels, RAMP)


def test_signed_pixels(write_dicom: WriteDicom, path: Path) -> None:
    signed = RAMP.astype(np.int16) - 500
    assert np.array_equal(read_slice(write_dicom(path, signed)).pixels, signed)


def test_monochrome1_is_mirrored_between_the_extremes_and_its_window_with_it(
    write_dicom: WriteDicom, path: Path
) -> None:
    image = read_slice(
        write_dicom(
            path, RAMP, PhotometricInterpretation="MONOCHROME1", RescaleSlope=0.5, RescaleIntercept=10,
            WindowCenter=110, WindowWidth=100,
        )
    )  # fmt: skip
    plain = RAMP * 0.5 + 10  # 10 to 480
    assert np.allclose(image.pixels, 490 - plain)
    assert image.window == (490 - 160, 490 - 60)


@pytest.mark.parametrize(
    ("center", "width", "window"),
    [
        (40, 80, (0, 80)),
        ([40, 300], [80, 1000], (0, 80)),
        (None, 80, None),
        (40, None, None),
        (40, 0, None),
        (40, -80, None),
        ("", "", None),
    ],
)
def test_windows(
    write_dicom: WriteDicom, path: Path, center: object, width: object, window: tuple[float, float] | None
) -> None:
    assert read_slice(write_dicom(path, RAMP, WindowCenter=center, WindowWidth=width)).window == window


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian])
def test_compressed_pixels(write_dicom: WriteDicom, path: Path, syntax: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (64, 48), dtype=np.uint16)
    assert np.array_equal(read_slice(write_dicom(path, pixels, syntax)).pixels, pixels)


@pytest.mark.parametrize("kind", ["", "_implicit", "_bigendian", "_padded", "_RLE", "_jp2klossless"])
@pytest.mark.filterwarnings("ignore")  # of the excess padding
def test_pixels_are_those_of_pydicom(kind: str) -> None:
    path = Path(pydicom.data.__file__).parent / "test_files" / f"MR_small{kind}.dcm"
    assert np.array_equal(read_slice(path).stored, pydicom.dcmread(path).pixel_array)


def test_jpeg_ls_pixels(path: Path) -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    plain, compressed = (read_slice(folder / f"MR_small{kind}.dcm") for kind in ("", "_jpeg_ls_lossless"))
    assert np.array_equal(plain.pixels, compressed.pixels)


def jpeg_lossless(pixels: np.ndarray) -> bytes:
    """Encode 16-bit pixels as lossless JPEG (ITU-T T.81 annex H), predictor 1, each code word 5 bits long."""
    lines = pixels.astype(np.int32)
    predicted = np.empty_like(lines)
    predicted[:, 1:] = lines[:, :-1]
    predicted[1:, 0] = lines[:-1, 0]
    predicted[0, 0] = 1 << 15
    bits = ""
    for difference in (lines - predicted).ravel().tolist():
        difference = (difference + 32768) % 65536 - 32768
        size = abs(difference).bit_length()
        low = difference if difference >= 0 else difference + (1 << size) - 1
        bits += f"{size:05b}" + (f"{low:0{size}b}" if 0 < size < 16 else "")
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    height, width = pixels.shape
    table = bytes([0] * 5 + [17] + [0] * 11 + list(range(17)))  # size categories 0..16, 5-bit codes
    return (
        b"\xff\xd8\xff\xc3\x00\x0b\x10" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
        b"\xff\xc4" + struct.pack(">H", 2 + len(table)) + table + b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00"
        + scan + b"\xff\xd9"
    )  # fmt: skip


def test_jpeg_lossless_pixels(write_dicom: WriteDicom, path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (16, 24), dtype=np.uint16)
    dataset = pydicom.dcmread(write_dicom(path, pixels))
    dataset.PixelData = encapsulate([jpeg_lossless(pixels)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.save_as(path)
    assert np.array_equal(read_slice(path).pixels, pixels)


def test_32_bit_pixels_keep_their_digits(write_dicom: WriteDicom, path: Path) -> None:
    pixels = np.array([[4_000_000_001, 7], [4_000_000_002, 8]], np.uint32)
    assert np.array_equal(read_slice(write_dicom(path, pixels)).pixels, pixels)


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello" * 100, "not a DICOM file"),
        (bytes(128) + b"DICM" + b"\xff" * 40, "holds no|damaged"),
    ],
)
def test_files_that_are_no_dicom(path: Path, content: bytes, reason: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DicomError, match=reason):
        read_slice(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("left_out", ["preamble", "file information too"])
def test_files_without_preamble(write_dicom: WriteDicom, path: Path, syntax: pydicom.uid.UID, left_out: str) -> None:
    content = write_dicom(path, RAMP, syntax).read_bytes()
    start = 132 if left_out == "preamble" else 144 + int.from_bytes(content[140:144], "little")
    path.write_bytes(content[start:])
    assert np.array_equal(read_slice(path).pixels, RAMP)
    assert read_tags(path)["PixelSpacing"] == (0.5, 0.75)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"NumberOfFrames": 2, "Rows": 3}, r"multi-frame image \(2 frames\)"),
        ({"PixelData": None}, "no pixel data"),
        ({"Rows": None}, "Rows"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "not a greyscale image"),
        ({"SamplesPerPixel": 3, "PixelData": bytes(300)}, "more than one sample"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not a greyscale image"),
        ({"Rows": 600}, "cut off"),
    ],
)
def test_files_that_are_no_slice(write_dicom: WriteDicom, path: Path, tags: dict[str, object], reason: str) -> None:
    with pytest.raises(DicomError, match=reason):
        read_slice(write_dicom(path, RAMP, **tags))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian]
)
def test_truncated_files(
    write_dicom: WriteDicom, path: Path, syntax: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (64, 48), dtype=np.uint16)
    with pytest.raises(DicomError, match=r"8\.dcm: "):
        read_slice(cut(write_dicom(path, pixels, syntax), share))
    assert capfd.readouterr().err == ""


def test_a_decoders_panic_is_one_line_and_silent(
    write_dicom: WriteDicom, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (64, 48), dtype=np.uint16)
    content = bytearray(write_dicom(path, pixels, RLELossless).read_bytes())
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        damaged = bytearray(content)
        for position in rng.integers(700, len(content), 20):
            damaged[position] = rng.integers(256)
        try:
            DicomFile(path, bytes(damaged)).slice()
        except DicomError as error:
            seen.add(error.reason)
            assert "\n" not in str(error)
    assert seen
    assert capfd.readouterr().err == ""


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match="No such file"):
        read_slice(tmp_path / "1.dcm")
    with pytest.raises(DicomError, match="directory"):
        read_slice(tmp_path)
