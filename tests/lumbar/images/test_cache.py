import math
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lumbar.images.cache import (
    QUANTILES,
    SOURCES,
    VERSIONS,
    CachedSeries,
    Source,
    cache_dir,
    encode_png,
    is_identifier,
    published_8bit,
    published_window,
    quantile_range,
    read_sources,
    to_8bit,
    window_range,
    write_sources,
)
from lumbar.images.dicom import DicomFile, DicomSlice
from lumbar.images.volumes import NAME as VOLUME

RNG = np.random.default_rng(0)


def a_slice(
    stored: NDArray[Any], scale: float = 1.0, offset: float = 0.0, window: tuple[float, float] | None = None
) -> DicomSlice:
    return DicomSlice({}, stored, scale, offset, window)


def test_an_exactly_known_mapping() -> None:
    image = a_slice(np.array([[0, 100, 110, 200], [300, 301, 150, 199]], np.uint16), window=(100, 300))
    picture = to_8bit(image, *window_range(image))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[0, 0, 13, 128], [255, 255, 64, 126]]  # 12.75, 127.5, 63.75, 126.2


def published_by_hand(stored: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """The published formula, and JPEG."""
    picture = (np.clip(stored, low, high).astype(stored.dtype) / (high / 255)).round().astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", picture)[1], 0)


def test_published_pictures_do_not_subtract_the_low_end() -> None:
    stored = np.full((16, 16), 100, np.uint16)
    stored[:8] = 400
    image = DicomSlice({}, stored, 2.0, -5.0, None, (250.7, 301.9))  # 250 and 301: 100 to 400
    assert published_window(image) == (100, 400)
    picture = published_8bit(image, *published_window(image))
    assert picture[4, 4] == 255
    assert picture[12, 12] == 64  # 100 / 400 of 255, where the window's low end should be black


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_published_pictures_are_jpeg_files_of_quality_95(dtype: type) -> None:
    stored = np.random.default_rng(2).integers(0, 2000, (40, 56)).astype(dtype)
    image = DicomSlice({}, stored, 1.0, 0.0, None, (900, 1401))
    wanted = published_by_hand(stored, 200, 1600)
    assert np.abs(published_8bit(image, *published_window(image)).astype(int) - wanted).max() <= 1
    low, high = np.quantile(stored, QUANTILES)
    assert np.array_equal(VERSIONS["v04published"](image), published_by_hand(stored, int(low), high))
    assert np.array_equal(VERSIONS["v01published"](DicomSlice({}, stored, 1.0, 0.0, None)),
                          VERSIONS["v04published"](image))  # fmt: skip


def test_a_published_picture_without_a_positive_end_is_black() -> None:
    assert not published_8bit(a_slice(np.full((4, 4), -7, np.int16)), -9, -1).any()


def test_255_wide_window_is_the_identity() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(to_8bit(a_slice(stored), 0, 255), stored)


def test_monochrome1_is_the_negative() -> None:
    stored = RNG.integers(0, 4096, (32, 32), dtype=np.uint16)
    plain = a_slice(stored, 1.0, 0.0, (500, 1500))
    mirror = float(stored.min()) + float(stored.max())
    negative = a_slice(stored, -1.0, mirror, (mirror - 1500, mirror - 500))
    difference = 255 - to_8bit(plain, 500, 1500).astype(int) - to_8bit(negative, *window_range(negative))
    assert np.abs(difference).max() <= 1  # rounding of halves


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.uint32])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 48)])
def test_quantiles_are_numpys(dtype: type, shape: tuple[int, int]) -> None:
    limits = np.iinfo(dtype)
    stored = RNG.integers(max(limits.min, -2000), min(limits.max, 60000), shape).astype(dtype)
    image = a_slice(stored, 2.5, -7.0)
    expected = np.quantile(stored * 2.5 - 7.0, QUANTILES)
    assert quantile_range(image) == pytest.approx(expected, rel=1e-12)


def test_quantiles_of_widely_spread_values() -> None:
    stored = np.array([[0, 5, 2**31, 2**32 - 1]], np.uint32)
    assert quantile_range(a_slice(stored)) == pytest.approx(np.quantile(stored, QUANTILES), rel=1e-12)


def test_a_negative_slope_still_gives_low_before_high() -> None:
    low, high = quantile_range(a_slice(np.arange(1001, dtype=np.uint16)[None], -1.0, 1000.0))
    assert (low, high) == pytest.approx((5, 995))


def test_without_a_window_the_quantiles_serve() -> None:
    image = a_slice(RNG.integers(0, 4096, (32, 32), dtype=np.uint16))
    assert window_range(image) == quantile_range(image)


def test_equal_quantiles_fall_back_to_the_extremes() -> None:
    stored = np.zeros((100, 100), np.uint16)
    stored[0, :3] = 50
    image = a_slice(stored)
    assert quantile_range(image) == (0, 50)
    assert to_8bit(image, *quantile_range(image)).max() == 255


@pytest.mark.parametrize("value", [0, 700])
def test_a_constant_slice_is_black(value: int) -> None:
    image = a_slice(np.full((5, 4), value, np.uint16))
    assert not to_8bit(image, *quantile_range(image)).any()


def test_png_holds_the_pixels_and_nothing_else() -> None:
    picture = RNG.integers(0, 256, (30, 41), dtype=np.uint8)
    png = encode_png(picture)
    assert encode_png(picture) == png
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert np.array_equal(decoded, picture)
    kinds, position = set(), 8
    while position < len(png):
        size, kind = struct.unpack(">I4s", png[position : position + 8])
        kinds.add(kind)
        position += 12 + size
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize("name", ["0", "7", "5049", "4294967295", "9007199254740991"])
def test_identifiers(name: str) -> None:
    assert is_identifier(name)


@pytest.mark.parametrize("name", ["", "007", "-1", "1.5", "a", "²", "٣", "9007199254740992", "1" * 19])
def test_other_names_are_no_identifiers(name: str) -> None:
    assert not is_identifier(name)


def test_cache_folder_lies_beside_the_images() -> None:
    assert cache_dir(Path("datamount/test_images"), "v04") == Path("datamount/test_images_v04")


def test_the_record_of_a_series(tmp_path: Path) -> None:
    sources = {10: Source(5, 6, 7), 2: Source(1, 2, 3)}
    write_sources(tmp_path, sources)
    assert read_sources(tmp_path) == sources
    assert (tmp_path / SOURCES).read_text().splitlines()[1:] == ["2 1 2 3", "10 5 6 7"]


@pytest.mark.parametrize("damage", ["", "other\n1 2 3 4\n", "{header}\n1 2\n", "{header}\nx y z w\n", "\xff"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, damage: str) -> None:
    write_sources(tmp_path, {})
    header = (tmp_path / SOURCES).read_text().strip()
    (tmp_path / SOURCES).write_text(damage.format(header=header), encoding="latin-1")
    assert read_sources(tmp_path) == {}
    assert read_sources(tmp_path / "absent") == {}


def source(content: bytes) -> Source:
    return Source.of(DicomFile(Path("1.dcm"), content))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Two cached slices, 1 and 2, made from b"one" and b"two"."""
    folder = tmp_path / "cache" / "11" / "22"
    cached = CachedSeries(folder, "v01")
    for instance, content in ((1, b"one"), (2, b"two")):
        cached.write(instance, source(content), a_slice(np.full((4, 4), instance, np.uint16)))
    assert cached.finish() == set()
    return folder


def test_unchanged_slices_are_kept(series: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in series.iterdir()}
    cached = CachedSeries(series, "v01")
    assert cached.keep(1, source(b"one"))
    assert cached.keep(2, source(b"two"))
    assert cached.finish() == set()
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in series.iterdir()} == before


def test_what_is_not_kept(series: Path) -> None:
    (series / "2.png").write_bytes(b"short")
    cached = CachedSeries(series, "v01")
    assert not cached.keep(1, source(b"changed"))
    assert not cached.keep(2, source(b"two"))
    assert not cached.keep(3, source(b"new"))
    assert not CachedSeries(series, "v01", force=True).keep(1, source(b"one"))


def test_a_record_never_vouches_for_a_png_of_another_source(series: Path) -> None:
    interrupted = CachedSeries(series, "v01")
    interrupted.keep(2, source(b"two"))
    interrupted.write(1, source(b"changed"), a_slice(np.arange(16, dtype=np.uint16).reshape(4, 4)))
    assert not CachedSeries(series, "v01").keep(1, source(b"one"))


def test_what_lost_its_source_goes_and_other_files_stay(series: Path) -> None:
    for name in (".3.png.abc.part", "notes.txt", "07.png"):
        (series / name).write_bytes(b"")
    cached = CachedSeries(series, "v01")
    assert cached.keep(1, source(b"one"))
    assert cached.finish() == {2}
    assert {path.name for path in series.iterdir()} == {"1.png", SOURCES, "notes.txt", "07.png"}
    assert set(read_sources(series)) == {1}


def test_a_series_without_sources_disappears(series: Path) -> None:
    (series / VOLUME).write_bytes(b"")
    assert CachedSeries(series, "v01").finish() == {1, 2}
    assert not series.parent.exists()
    assert series.parent.parent.exists()
    assert CachedSeries(series, "v01").finish() == set()


def test_rounding_is_to_the_nearest() -> None:
    image = a_slice(np.arange(1000, dtype=np.uint16)[None])
    exact = np.clip((np.arange(1000) - 100) * 255 / 700, 0, 255)
    assert np.abs(to_8bit(image, 100, 800)[0] - exact).max() <= 0.5 + 1e-3
    assert math.isclose(to_8bit(image, 100, 800)[0, 450], 128)
