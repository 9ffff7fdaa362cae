import cv2
import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVELS
from lumbar.images.slices import SliceIndex
from lumbar.images.volumes import VolumeStore
from lumbar.items.sequences import Sequences, level_numbers, square, to_pixels

HEIGHT, WIDTH = 40, 60
BOXED = 100, 80


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "1" / "10"
    folder.mkdir(parents=True)
    for instance in (1, 2):
        picture = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.uint8) + 100 * (instance - 1)
        cv2.imwrite(str(folder / f"{instance}.png"), picture)
    cv2.imwrite(str(folder / "3.png"), np.full((2 * HEIGHT, 2 * WIDTH), 7, np.uint8))
    return VolumeStore(tmp_path)


@pytest.fixture
def sequences():
    meta = pd.DataFrame(
        {"study_id": 1, "series_id": 10, "instance_number": [1, 2, 3], "img_w": [WIDTH, WIDTH, 2 * WIDTH],
         "img_h": [HEIGHT, HEIGHT, 2 * HEIGHT], "ImagePositionPatient": np.nan, "ImageOrientationPatient": np.nan,
         "PixelSpacing": np.nan}
    )  # fmt: skip
    return Sequences(
        slices=SliceIndex(meta), rounding="nearest", rows=np.array([1, 0, 2]), study_id=np.array([1]),
        series_id=np.array([10]), level=np.array([2]), start=np.array([0]), stop=np.array([3]),
        box=np.array([[10.0, 5.0, 26.0, 21.0]]), size=np.array([[WIDTH, HEIGHT]]),
    )  # fmt: skip


def test_reading(store, sequences):
    rows = sequences.slice_rows(0)
    assert sequences.slices.instance[rows].tolist() == [2, 1, 3]
    images = sequences.read(store, 0, rows, (16, 16))
    assert images.shape == (3, 16, 16)
    assert images[1, 0, 0] == 15
    assert images[1, 15, 15] == 45
    assert (images[0] == images[1] + 100).all()
    assert (images[2] == 7).all()


def test_a_slice_of_another_size_is_cut_where_it_shows_the_same(store, sequences):
    seen = []
    volume = store.series(1, 10)
    crop = volume.crop
    volume.crop = lambda instance, box: seen.append((instance, box)) or crop(instance, box)
    sequences.read(store, 0, sequences.slice_rows(0), (16, 16))
    assert seen == [(2, [10, 5, 26, 21]), (1, [10, 5, 26, 21]), (3, [20, 10, 52, 42])]


def test_turning(store, sequences):
    rows = sequences.slice_rows(0)
    upright, turned = (sequences.read(store, 0, rows, (16, 24)[:: 1 - 2 * turn], turned=bool(turn)) for turn in (0, 1))
    assert turned.shape == (3, 24, 16)
    assert (turned == np.rot90(upright, axes=(1, 2))).all()


def test_only_the_asked_slices_are_read(store, sequences):
    assert sequences.read(store, 0, np.array([0]), (16, 16)).shape == (1, 16, 16)


def test_level_numbers():
    assert level_numbers(pd.DataFrame({"level": LEVELS})).tolist() == [0, 1, 2, 3, 4]
    assert level_numbers(pd.DataFrame({"level": []})).tolist() == []


@pytest.mark.parametrize(("rounding", "expected"), [
    ("outward", (9, 19, 31, 41)), ("nearest", (10, 20, 30, 40)), ("towards zero", (9, 19, 30, 40)),
])  # fmt: skip
def test_rounding(rounding, expected):
    box = square((20.1, 30.1), 10.2)
    np.testing.assert_allclose(box, (9.9, 19.9, 30.3, 40.3))
    assert to_pixels(box, BOXED, rounding).tolist() == list(expected)


def test_clipped_to_the_slice():
    assert to_pixels(square((5, 75), 10.0), BOXED, "nearest").tolist() == [0, 65, 15, 80]


@pytest.mark.parametrize(("centre", "expected"), [
    ((-50, 40), (0, 35, 1, 45)), ((150, 40), (99, 35, 100, 45)), ((50, 200), (45, 79, 55, 80)),
])  # fmt: skip
def test_a_box_outside_the_slice_keeps_a_pixel(centre, expected):
    assert to_pixels(square(centre, 5.0), BOXED, "outward").tolist() == list(expected)


def test_many_at_once():
    boxes = to_pixels(square([[20, 30], [5, 75]], [10, 10]), [BOXED, BOXED], "nearest")
    assert boxes.tolist() == [[10, 20, 30, 40], [0, 65, 15, 80]]
