import warnings
from types import SimpleNamespace

import albumentations
import numpy as np
import pytest

from lumbar.augment import ATTEMPTS, AUGMENTATIONS, Augmentation, build_augmentation, input_size
from lumbar.cli import UserError

NAMES = sorted(AUGMENTATIONS)


def config(name, img_size=64):
    return SimpleNamespace(aug=name, img_size=img_size)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(slices=3, height=64, width=64):
    return rng(9).integers(0, 256, (slices, height, width), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("img_size", [64, 384, (96, 64)])
def test_albumentations_knows_every_argument(name, img_size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_augmentation(config(name, img_size), "train")


@pytest.mark.parametrize(("name", "furthest"), [("light", 12), ("slight", 5)])
def test_light_ones_move_points_and_keep_the_size(name, furthest):
    augmentation = build_augmentation(config(name), "train")
    assert [type(transform).__name__ for transform in augmentation.transforms] == ["Affine", "RandomBrightnessContrast"]
    draws = [augmentation(noise(), rng(seed), np.array([[32.0, 32.0]])) for seed in range(20)]
    assert {images.shape for images, _ in draws} == {(3, 64, 64)}
    assert 0 < max(np.linalg.norm(points - 32) for _, points in draws) < furthest


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("light", "slight")])
def test_values(name):
    augmentation = build_augmentation(config(name, 384), "train")
    by_name = {type(transform).__name__: transform for transform in augmentation.transforms}
    if name == "none":
        assert not by_name
        return
    sagittal_localiser, classifier = name == "localiser_sagittal", name == "classifier"
    affine, contrast, holes = (by_name[key] for key in ("Affine", "RandomBrightnessContrast", "CoarseDropout"))
    turn = {"localiser_axial": 25, "localiser_sagittal": 20, "classifier": 30}[name]
    assert affine.rotate == (-turn, turn)
    assert affine.p == 0.7
    assert {axis: tuple(limits) for axis, limits in affine.translate_percent.items()} == {
        "x": (-0.2, 0.2), "y": (0, 0) if classifier else (-0.2, 0.2)
    }  # fmt: skip
    assert affine.scale == {"x": (0.8, 1.2), "y": (0.8, 1.2)}
    assert affine.keep_ratio
    limit = 0.1 if classifier else 0.2
    assert contrast.brightness_limit == contrast.contrast_limit == (-limit, limit)
    assert contrast.p == 0.75
    assert holes.p == 0.8
    if name == "localiser_axial":
        assert holes.num_holes_range == (1, 1)
        assert holes.hole_height_range == holes.hole_width_range == (192, 192)
    else:
        assert holes.num_holes_range == (10, 30)
        assert holes.hole_height_range == holes.hole_width_range == (0.01, 0.08)
    assert ("RandomCrop" in by_name) == (sagittal_localiser or classifier)
    if "RandomCrop" in by_name:
        assert (by_name["RandomCrop"].height, by_name["RandomCrop"].width) == (384, 288)


def test_validation_only_resizes():
    assert build_augmentation(config("classifier"), "val") is None
    points = np.array([[10.0, 20.0], [np.nan, np.nan]])
    for name in ("none", "localiser_axial", "localiser_sagittal"):
        images, moved = build_augmentation(config(name), "val")(np.full((2, 32, 128), 7, np.uint8), rng(), points)
        assert images.shape == (2, 64, 64)
        assert (images == 7).all()
        np.testing.assert_array_equal(moved, [[5, 40], [np.nan, np.nan]])


def test_unknown_name():
    with pytest.raises(UserError, match=r"aug 'clasifier'.*did you mean 'classifier'"):
        build_augmentation(config("clasifier"), "train")


def test_input_size():
    assert input_size(config("none", 128)) == (128, 128)
    assert input_size(config("none", (96, 64))) == (96, 64)


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_decides_everything(name):
    augmentation, again = (build_augmentation(config(name), "train") for _ in range(2))
    draws = [augmentation(noise(), rng(seed))[0] for seed in range(20)]
    assert all(np.array_equal(again(noise(), rng(seed))[0], draws[seed]) for seed in reversed(range(20)))
    # Without holes or crops a draw leaves the slices alone with probability 0.3 * 0.25.
    assert name == "none" or len({draw.tobytes() for draw in draws}) == (19 if "light" in name else 20)


@pytest.mark.parametrize("name", NAMES)
def test_one_draw_for_all_slices(name):
    augmentation = build_augmentation(config(name), "train")
    for seed in range(20):
        images, _ = augmentation(np.repeat(noise(1), 5, axis=0), rng(seed))
        assert (images == images[:1]).all()


def test_draws_of_different_transforms_are_independent():
    transforms = [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)]
    augmentation = Augmentation(transforms=transforms)
    image = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    seen = {tuple(augmentation(image, rng(seed))[0].ravel()) for seed in range(40)}
    assert len(seen) == 4


def test_points_move_with_the_image():
    augmentation = build_augmentation(config("localiser_sagittal", 128), "train")
    image = np.zeros((1, 128, 128), np.uint8)
    image[0, 58:63, 48:53] = 255
    checked = 0
    for seed in range(40):
        images, points = augmentation(image, rng(seed), np.array([[50.0, 60.0], [np.nan, np.nan]]))
        assert np.isnan(points[1]).all()
        rows, columns = np.nonzero(images[0] > 200)
        if len(rows) > 15:  # not under a hole
            assert abs(columns.mean() - points[0, 0]) < 1.5
            assert abs(rows.mean() - points[0, 1]) < 1.5
            checked += 1
    assert checked > 10


class Counting(Augmentation):
    draws = 0

    def _draw(self, *arguments):
        self.draws += 1
        return super()._draw(*arguments)


def test_a_point_that_leaves_the_image_repeats_the_draw():
    flip = albumentations.RandomCrop(64, 32)
    repeats = []
    for seed in range(30):
        augmentation = Counting((64, 64), transforms=[flip])
        images, points = augmentation(noise(1), rng(seed), np.array([[20.0, 30.0]]))
        assert images.shape == (1, 64, 32)
        assert (points >= 0).all()
        assert points[0, 0] < 32
        repeats.append(augmentation.draws)
    assert min(repeats) == 1
    assert 1 < max(repeats) <= ATTEMPTS


def test_after_a_few_draws_the_slice_is_used_as_it_is():
    augmentation = Counting((64, 64), transforms=[albumentations.RandomCrop(64, 32)])
    images, points = augmentation(np.full((2, 64, 64), 9, np.uint8), rng(), np.array([[1.0, 5.0], [63.0, 6.0]]))
    assert augmentation.draws == ATTEMPTS
    assert images.shape == (2, 64, 32)  # squeezed, as a batch needs it
    assert (images == 9).all()
    np.testing.assert_allclose(points, [[0.5, 5.0], [31.5, 6.0]])
