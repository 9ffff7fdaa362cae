import multiprocessing
import pickle
import time

import cv2
import numpy as np
import pytest

from lumbar.cli import UserError
from lumbar.images.volumes import NAME, VolumeStore, open_volume

SIZES = {3: (20, 30), 4: (20, 30), 17: (25, 12)}


def image_of(instance, height, width):
    return np.random.default_rng(instance).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    series = tmp_path / "1" / "2"
    series.mkdir(parents=True)
    for instance, size in SIZES.items():
        cv2.imwrite(str(series / f"{instance}.png"), image_of(instance, *size))
    (series / ".sources").write_text("not a slice")
    return series


def test_crops_are_the_pixels_of_the_pngs(folder):
    for _ in range(2):  # made, then mapped
        volume = open_volume(folder)
        for instance, (height, width) in SIZES.items():
            whole = image_of(instance, height, width)
            assert np.array_equal(volume.crop(instance), whole)
            assert np.array_equal(volume.crop(instance, (2, 5, 11, 20)), whole[5:20, 2:11])
    with pytest.raises(KeyError):
        volume.crop(5)


def test_a_mapped_volume_decodes_nothing(folder, monkeypatch):
    open_volume(folder)
    monkeypatch.setattr(cv2, "imread", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(open_volume(folder).crop(4), image_of(4, 20, 30))


@pytest.mark.parametrize("change", ["rewrite", "remove", "add"])
def test_changed_pngs_make_the_volume_again(folder, change):
    open_volume(folder)
    time.sleep(0.01)
    if change == "rewrite":
        cv2.imwrite(str(folder / "4.png"), image_of(99, 20, 30))
        assert np.array_equal(open_volume(folder).crop(4), image_of(99, 20, 30))
    elif change == "remove":
        (folder / "4.png").unlink()
        with pytest.raises(KeyError):
            open_volume(folder).crop(4)
    else:
        cv2.imwrite(str(folder / "1.png"), image_of(1, 8, 8))
        assert np.array_equal(open_volume(folder).crop(1), image_of(1, 8, 8))


@pytest.mark.parametrize(
    "damage", [b"", b"LUMBARv1", b"LUMBARv1\x03\0\0\0\0\0\0\0abc", b"something else, and long enough"]
)
def test_a_damaged_volume_is_made_again(folder, damage):
    open_volume(folder)
    (folder / NAME).write_bytes(damage)
    assert np.array_equal(open_volume(folder).crop(17), image_of(17, 25, 12))
    assert (folder / NAME).stat().st_size > 1000


def test_a_truncated_volume_is_made_again(folder):
    open_volume(folder)
    content = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(content[:-1])
    assert np.array_equal(open_volume(folder).crop(17), image_of(17, 25, 12))
    assert (folder / NAME).read_bytes() == content


def test_where_nothing_can_be_written_the_slices_stay_in_memory(folder, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("lumbar.images.volumes.atomic_path", refuse)
    volume = open_volume(folder)
    assert np.array_equal(volume.crop(3, (0, 0, 5, 5)), image_of(3, 20, 30)[:5, :5])
    assert "Read-only file system" in caplog.text
    assert not (folder / NAME).exists()


def test_a_damaged_png_is_named(folder):
    (folder / "4.png").write_bytes(b"no PNG")
    with pytest.raises(UserError, match=r"4\.png: not a PNG.*scripts/prepare\.py"):
        open_volume(folder)


def test_a_series_without_pngs_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"7.8: no PNG of this series.*scripts/prepare\.py"):
        VolumeStore(tmp_path).series(7, 8)


def read_all(root):
    volume = VolumeStore(root).series(1, 2)
    return all(np.array_equal(volume.crop(n), image_of(n, *size)) for n, size in SIZES.items())


def test_concurrent_first_use(folder):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        for _ in range(10):
            (folder / NAME).unlink(missing_ok=True)
            assert all(pool.map(read_all, [folder.parents[1]] * 16, chunksize=1))
    assert sorted(path.name for path in folder.iterdir()) == sorted([".sources", NAME, *(f"{n}.png" for n in SIZES)])


def test_the_store_keeps_few_volumes_open_and_sends_none(folder):
    root = folder.parents[1]
    for series in (5, 6, 7):
        (root / "1" / str(series)).mkdir()
        cv2.imwrite(str(root / "1" / str(series) / "1.png"), image_of(series, 4, 4))
    store = VolumeStore(root, keep=2)
    first = store.series(1, 5)
    assert store.series(1, 5) is first
    store.series(1, 6), store.series(1, 7)
    assert store.series(1, 5) is not first
    assert len(pickle.dumps(store)) < 500
    assert np.array_equal(pickle.loads(pickle.dumps(store)).series(1, 6).crop(1), image_of(6, 4, 4))
