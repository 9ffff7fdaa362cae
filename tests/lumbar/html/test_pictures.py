import base64
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lumbar.html.pictures import Mark, Picture, clip_region, make_picture, read_cached_slice, stretch_contrast

IMAGE = np.tile(np.arange(100, dtype=np.uint8), (50, 1))  # 50 high, 100 wide


def decoded(picture: Picture) -> np.ndarray:
    kind, _, content = picture.uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_GRAYSCALE)


def test_a_slice_at_its_own_size_stays_as_it_is() -> None:
    picture = make_picture(IMAGE, "a slice", longer_side=100, marks=[Mark(10, 20, "human", "L1")])
    assert decoded(picture).shape == (50, 100) == (picture.height, picture.width)
    assert picture.marks == (Mark(10.5, 20.5, "human", "L1"),)
    assert picture.box is None


def test_marks_and_box_follow_region_and_scale() -> None:
    picture = make_picture(
        IMAGE, "a", region=(20, 10, 60, 30), longer_side=80, marks=[Mark(30, 15, "human")], box=(25, 12, 35, 22)
    )
    assert (picture.width, picture.height) == (80, 40)
    assert picture.marks[0][:2] == (21.0, 11.0)  # pixel centre (30.5, 15.5) less (20, 10), twice as large
    assert picture.box == (10.0, 4.0, 20.0, 20.0)


def test_marks_out_of_sight_are_left_out() -> None:
    marks = [Mark(30, 15, "in"), Mark(10, 15, "out"), Mark(float("nan"), 15, "unknown"), Mark(30, 200, "out")]
    assert [mark.kind for mark in make_picture(IMAGE, "a", region=(20, 10, 60, 30), marks=marks).marks] == ["in"]


@pytest.mark.parametrize(
    ("spacing", "size"),
    [((1.0, 1.0), (100, 50)), ((2.0, 1.0), (100, 100)), ((1.0, 2.0), (100, 25)), ((float("nan"), 1.0), (100, 50)),
     ((0.0, 1.0), (100, 50)), ((100.0, 1.0), (100, 50))],
)  # fmt: skip
def test_pixels_are_square_in_the_patient(spacing: tuple[float, float], size: tuple[int, int]) -> None:
    picture = make_picture(IMAGE, "a", spacing=spacing, longer_side=100)
    assert (picture.width, picture.height) == size


@pytest.mark.parametrize(
    ("region", "expected"),
    [((-5, -5, 20, 20), (0, 0, 20, 20)), ((95, 45, 300, 300), (95, 45, 100, 50)),
     ((300, 300, 400, 400), (99, 49, 100, 50)), ((20, 20, 20, 20), (20, 20, 21, 21)),
     ((float("nan"), 0, 10, 10), (0, 0, 10, 10))],
)  # fmt: skip
def test_a_region_is_clipped_to_the_slice(region: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert clip_region(region, 100, 50) == expected


def test_dark_pictures_become_visible_and_flat_ones_stay() -> None:
    stretched = stretch_contrast(np.repeat(np.array([10, 20, 30], np.uint8), 100).reshape(3, 100))
    assert sorted(set(stretched.ravel().tolist())) == [0, 128, 255]
    flat = np.full((5, 5), 7, np.uint8)
    np.testing.assert_array_equal(stretch_contrast(flat), flat)


def test_the_cache_that_shows_most_comes_first(tmp_path: Path) -> None:
    for version, value in (("v01", 10), ("v04", 40)):
        folder = tmp_path / f"train_images_{version}" / "1" / "2"
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "3.png"), np.full((4, 4), value, np.uint8))
    read: Callable[[], np.ndarray | None] = lambda: read_cached_slice(tmp_path, 1, 2, 3)  # noqa: E731
    assert read()[0, 0] == 40  # type: ignore[index]
    (tmp_path / "train_images_v04" / "1" / "2" / "3.png").write_bytes(b"damaged")
    assert read()[0, 0] == 10  # type: ignore[index]
    assert read_cached_slice(tmp_path, 1, 2, 4) is None
