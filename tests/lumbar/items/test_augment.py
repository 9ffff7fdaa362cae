import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from lumbar.cli import UserError
from lumbar.items.augment import ATTEMPTS, RECIPES, Augmentation, Draw, Recipe, build_augmentation, input_size

NAMES = sorted(RECIPES)
PUBLISHED = json.loads((Path(__file__).parents[2] / "reference" / "augmentation.json").read_text())
"""What the published pipeline draws, measured by `tests/reference/augmentation.py`."""

NO_HOLES = np.zeros((0, 4), np.int64)


def config(name, img_size=64):
    return SimpleNamespace(aug=name, img_size=img_size)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(slices=3, height=64, width=64):
    return rng(9).integers(0, 256, (slices, height, width), dtype=np.uint8)


def bright_picture(size):
    """The reference's picture: grey values 60 to 189, no black."""
    y, x = np.mgrid[:size, :size]
    return (60 + 130 * (x + y) // (2 * size)).astype(np.uint8)


# ------------------------------------------------------------------------------------ the published distributions


def measure(name, draws=6000, pictures=400):
    """The same numbers as the reference's, of our recipe."""
    size = PUBLISHED[name]["size"]
    recipe, points = RECIPES[name.partition(",")[0]], np.reshape(PUBLISHED[name]["points"], (-1, 2)) * size
    picture, generator = bright_picture(size)[None], rng(1)
    kinds = "matrix light hole_count hole crop applied kept kept_applied black histogram"
    drawn = {key: [] for key in kinds.split()}
    for number in range(draws):
        draw = recipe.draw((size, size), generator)
        kept = draw.shows(draw.points(points))
        applied = [draw.matrix is not None, draw.light is not None, len(draw.holes) > 0]
        drawn["applied"].append(applied)
        drawn["kept"].append([kept])
        if draw.matrix is not None:
            drawn["matrix"].append((draw.matrix / [1, 1, size]).ravel())
        if draw.light is not None:
            drawn["light"].append(draw.light)
        if len(draw.holes):
            drawn["hole_count"].append([len(draw.holes)])
            first = draw.holes[0]
            drawn["hole"].append(np.hstack([first[:2], first[2:] - first[:2]]) / size)
        drawn["crop"].append([draw.crop[0] / size])
        if kept:
            drawn["kept_applied"].append(applied)
        if kept and number < pictures:
            (image,) = draw.images(picture)
            drawn["black"].append([(image == 0).mean()])
            drawn["histogram"].append(np.histogram(image, 16, (0, 256))[0] / image.size)
    return {key: np.asarray(values, np.float64) for key, values in drawn.items()}


@pytest.fixture(scope="module", params=list(PUBLISHED))
def both(request):
    """What the published pipeline draws, and what ours does."""
    return PUBLISHED[request.param], measure(request.param)


def test_means_and_spreads_are_the_published_ones(both):
    published, ours = both
    for key in ours.keys() & published.keys():
        theirs = {name: np.asarray(value) for name, value in published[key].items()}
        found = ours[key]
        error = theirs["std"] * np.sqrt(1 / len(found) + 1 / theirs["n"])
        # 4.5 standard errors; and what a grey level's rounding may move from one histogram bin to the next.
        margin = 4.5 * error + (0.004 if key == "histogram" else 1e-9)
        assert (np.abs(found.mean(0) - theirs["mean"]) <= margin).all(), (key, found.mean(0), theirs["mean"])
        if key in ("matrix", "light", "hole", "hole_count", "crop"):  # a uniform number's spread is known to 2 %
            np.testing.assert_allclose(found.std(0), theirs["std"], rtol=0.04, atol=1e-9, err_msg=key)


def test_what_is_drawn_together_hangs_together_as_published(both):
    published, ours = both
    for key in ("matrix", "light", "hole", "applied", "kept_applied"):
        varying = ours[key][:, ours[key].std(0) > 1e-9]
        found = np.atleast_2d(np.corrcoef(varying.T))[np.triu_indices(varying.shape[1], 1)]
        error = np.sqrt(1 / len(varying) + 1 / published[key]["n"])
        np.testing.assert_allclose(found, published[key]["correlation"], atol=4.5 * error, err_msg=key)


def test_what_the_numbers_say():
    assert PUBLISHED["localiser_axial"]["kept"]["mean"][0] == pytest.approx(0.38, abs=0.01)
    assert PUBLISHED["localiser_axial"]["kept_applied"]["mean"][2] < 0.5  # 80 % of all draws have one
    assert PUBLISHED["classifier"]["kept"]["mean"] == [1]
    # x and y are scaled independently: the diagonal entries of a matrix hang together through the angle alone.
    assert abs(PUBLISHED["localiser_sagittal"]["matrix"]["correlation"][3]) < 0.3


# ------------------------------------------------------------------------------------------------- one draw, by hand


def test_a_known_map():
    """Twice as wide, shifted by (1, 2): pixel (x, y) comes to lie at (2 x + 1, y + 2)."""
    draw = Draw(np.array([[2.0, 0, 1], [0, 1, 2]]), None, NO_HOLES, (0, 0, 8, 8))
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    result = draw.images(image)[0]
    assert (result[2:, 1::2] == image[0, :6, :4]).all()
    np.testing.assert_array_equal(draw.points(np.array([[3.0, 4.0]])), [[7, 6]])


def test_borders_are_reflected_not_black():
    draw = Draw(np.array([[1.0, 0, 3], [0, 1, 0]]), None, NO_HOLES, (0, 0, 8, 8))
    image = np.arange(1, 9, dtype=np.uint8)[None, None].repeat(8, 1)
    assert draw.images(image)[0, 0].tolist() == [4, 3, 2, 1, 2, 3, 4, 5]  # the edge pixel itself is not repeated


def test_light_is_a_factor_and_a_share_of_white():
    image = np.array([[[0, 100, 200]]], np.uint8)
    draw = Draw(None, (1.5, 0.1), NO_HOLES, (0, 0, 3, 1))
    assert draw.images(image).ravel().tolist() == [25, 175, 255]
    assert image.ravel().tolist() == [0, 100, 200]  # the slice itself stays as it is


def test_holes_and_crop():
    draw = Draw(None, None, np.array([[1, 1, 3, 2], [4, 0, 6, 2]]), (2, 0, 3, 3))
    result = draw.images(np.full((2, 3, 6), 9, np.uint8))
    assert result.tolist() == [[[9, 9, 0], [0, 9, 0], [9, 9, 9]]] * 2


@pytest.mark.parametrize(("point", "shown"), [
    ((2.0, 0.0), True), ((4.9, 2.0), True), ((1.9, 0.0), False), ((5.0, 0.0), False), ((3.0, 3.0), False),
    ((2.5, 1.5), False), ((3.0, 1.5), True), ((np.nan, np.nan), True),
])  # fmt: skip
def test_which_points_are_shown(point, shown):
    draw = Draw(None, None, np.array([[1, 1, 3, 2]]), (2, 0, 3, 3))
    assert draw.shows(draw.points(np.array([point]))) == shown


def test_a_cropped_map_is_the_crop_of_the_map():
    whole = replace(RECIPES["localiser_sagittal"].draw((96, 96), rng(3)), crop=(0, 0, 96, 96), light=None)
    assert whole.matrix is not None
    part = replace(whole, crop=(11, 0, 72, 96))
    picture = cv2.GaussianBlur(noise(1, 96, 96)[0], None, 3)[None]
    difference = part.images(picture).astype(int) - whole.images(picture)[:, :, 11:83]
    assert abs(difference).max() <= 1  # OpenCV rounds coordinates to 1/32 pixel


# ----------------------------------------------------------------------------------------------------- augmentations


@pytest.mark.parametrize(("name", "furthest"), [("light", 12), ("slight", 5)])
def test_light_ones_move_points_and_keep_the_size(name, furthest):
    augmentation = build_augmentation(config(name), "train")
    draws = [augmentation(noise(), rng(seed), np.array([[32.0, 32.0]])) for seed in range(20)]
    assert {images.shape for images, _ in draws} == {(3, 64, 64)}
    assert 0 < max(np.linalg.norm(points - 32) for _, points in draws) < furthest


def test_validation_only_resizes():
    assert build_augmentation(config("classifier"), "val") is None
    points = np.array([[10.0, 20.0], [np.nan, np.nan]])
    for name in ("none", "localiser_axial", "localiser_sagittal"):
        images, moved = build_augmentation(config(name), "val")(np.full((2, 32, 128), 7, np.uint8), rng(), points)
        assert images.shape == (2, 64, 64)
        assert (images == 7).all()
        np.testing.assert_array_equal(moved, [[5, 40], [np.nan, np.nan]])


@pytest.mark.parametrize(("name", "interpolation"), [("localiser_axial", "LINEAR"), ("localiser_sagittal", "CUBIC")])
def test_how_localisers_resize(name, interpolation):
    image = noise(1, 40, 50)
    wanted = cv2.resize(image[0], (64, 64), interpolation=getattr(cv2, f"INTER_{interpolation}"))
    assert (build_augmentation(config(name), "val")(image, rng())[0][0] == wanted).all()


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
    assert name == "none" or len({draw.tobytes() for draw in draws}) >= 17  # a few draws change nothing


@pytest.mark.parametrize("name", NAMES)
def test_one_draw_for_all_slices(name):
    augmentation = build_augmentation(config(name), "train")
    for seed in range(20):
        images, _ = augmentation(np.repeat(noise(1), 5, axis=0), rng(seed))
        assert (images == images[:1]).all()


def test_points_move_with_the_image():
    augmentation = build_augmentation(config("localiser_sagittal", 128), "train")
    image = np.zeros((1, 128, 128), np.uint8)
    image[0, 58:63, 48:53] = 255
    checked = 0
    for seed in range(40):
        images, points = augmentation(image, rng(seed), np.array([[50.0, 60.0], [np.nan, np.nan]]))
        assert np.isnan(points[1]).all()
        rows, columns = np.nonzero(images[0] > 200)
        if len(rows) > 15:  # a hole may cover a part of it
            assert abs(columns.mean() - points[0, 0]) < 1.5
            assert abs(rows.mean() - points[0, 1]) < 1.5
            checked += 1
    assert checked > 20


def test_no_hole_ever_hides_a_point():
    augmentation = build_augmentation(config("localiser_axial", 96), "train")
    image = np.full((1, 96, 96), 200, np.uint8)
    holes = 0
    for seed in range(200):
        images, points = augmentation(image, rng(seed), np.array([[52.0, 50.0], [44.0, 50.0]]))
        x, y = np.floor(points).astype(int).T
        assert (images[0, y, x] > 0).all()
        holes += bool((images == 0).any())
    assert 0.3 < holes / 200 < 0.65  # 46 % in the reference


class Counting(Augmentation):
    """Counts the draws of the last call."""

    def __call__(self, images, generator, points=None):
        self.draws = 0
        outer, recipe = self, self.recipe

        class Watched(Recipe):
            def draw(self, shape, generator):
                outer.draws += 1
                return recipe.draw(shape, generator)

        self.recipe = Watched((0, 0), 0, 0, 0)
        try:
            return super().__call__(images, generator, points)
        finally:
            self.recipe = recipe


HALF = Recipe((0.0, 0.0), 0.0, 0.0, 0.0, kept_width=0.5)


def test_a_point_that_leaves_the_image_repeats_the_draw():
    repeats = []
    for seed in range(30):
        augmentation = Counting((64, 64), recipe=HALF)
        images, points = augmentation(noise(1), rng(seed), np.array([[20.0, 30.0]]))
        assert images.shape == (1, 64, 32)
        assert (points >= 0).all()
        assert points[0, 0] < 32
        repeats.append(augmentation.draws)
    assert min(repeats) == 1
    assert 1 < max(repeats) <= ATTEMPTS


def test_after_twenty_draws_the_slice_is_used_as_it_is():
    augmentation = Counting((64, 64), recipe=HALF)
    images, points = augmentation(np.full((2, 64, 64), 9, np.uint8), rng(), np.array([[1.0, 5.0], [63.0, 6.0]]))
    assert augmentation.draws == ATTEMPTS == 20
    assert images.shape == (2, 64, 32)  # squeezed, as a batch needs it
    assert (images == 9).all()
    np.testing.assert_allclose(points, [[0.5, 5.0], [31.5, 6.0]])
