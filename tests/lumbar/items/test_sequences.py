import cv2
import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVELS
from lumbar.images.slices import SliceIndex
from lumbar.images.volumes import VolumeStore
from lumbar.items.sequences import Sequences, level_numbers

HEIGHT, WIDTH = 40, 60


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
