"""Resizing and random augmentation of slices.

An augmentation takes a whole sequence as one array and applies one draw to all its slices. A draw is one affine map,
one table of grey values, holes and a crop; its numbers have the distributions of the published training, which used
albumentations 1.4.11. Later releases of that library draw and move key points otherwise (`docs/fidelity.md`), so the
few lines that matter are here. All randomness comes from the caller's generator, so that an item does not depend on
which worker makes it or on what came before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.cli import UserError, nearest
from lumbar.config import Config
from lumbar.images.volumes import Pixels, resize

Points = NDArray[np.float64]
Mode = Literal["train", "val", "test"]

ATTEMPTS: Final = 20
"""Draws made at most while a key point leaves the image or lies in a hole; then the slice is used un-augmented.

The axial localiser keeps 38 % of its draws, so one item in 14,000 comes to that (the published loop never ends)."""

MAP_SHARE, LIGHT_SHARE, HOLES_SHARE = 0.7, 0.75, 0.8
"""Shares of draws with an affine map, with other light, and with holes (published, equal in all recipes)."""


@dataclass(frozen=True)
class Draw:
    """One outcome of a recipe, applicable to any number of slices and points.

    Parameters
    ----------
    matrix : ndarray, shape (2, 3), or None
        Where a pixel (x, y, 1) of the slice comes to lie; None leaves it where it is.
    light : (float, float) or None
        Contrast and brightness: a grey value g becomes contrast x g + 255 x brightness; None changes nothing.
    holes : ndarray, shape (n, 4)
        x0, y0, x1, y1 of what becomes black, pixels, ends excluded, before the crop.
    crop : (int, int, int, int)
        x0, y0, width and height of what is kept, pixels.
    """

    matrix: NDArray[np.float64] | None
    light: tuple[float, float] | None
    holes: NDArray[np.int64]
    crop: tuple[int, int, int, int]

    def images(self, images: Pixels) -> Pixels:
        """Augment slices (S, H, W): new ones (S, height, width). What a map brings in from outside is reflected."""
        x0, y0, width, height = self.crop
        if self.matrix is None:
            result = images[:, y0 : y0 + height, x0 : x0 + width].copy()
        else:
            kept = self.matrix - [[0, 0, x0], [0, 0, y0]]
            result = np.empty((len(images), height, width), dtype=np.uint8)
            for image, out in zip(images, result, strict=True):
                cv2.warpAffine(image, kept, (width, height), out, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
        if self.light is not None:
            contrast, brightness = self.light
            table = np.clip(np.arange(256) * contrast + 255 * brightness, 0, 255).astype(np.uint8)
            result = np.asarray(cv2.LUT(result.reshape(-1, width), table), np.uint8).reshape(result.shape)
        for left, top, right, bottom in self.holes - [x0, y0, x0, y0]:
            result[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 0
        return result

    def points(self, points: Points) -> Points:
        """Move points (K, 2), x and y in pixels, with the slices."""
        if self.matrix is not None:
            points = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return points - self.crop[:2]

    def shows(self, moved: Points) -> bool:
        """Tell whether every point, as `points` moved it, is in the image and in no hole; NaN rows do not count."""
        x0, y0, width, height = self.crop
        known = moved[~np.isnan(moved).any(axis=1)]
        inside = (known >= 0) & (known < (width, height))
        place = known[:, None] + (x0, y0)
        hidden = (place >= self.holes[:, :2]) & (place < self.holes[:, 2:])  # (K, n, 2)
        return bool(inside.all() and not hidden.all(axis=-1).any())


@dataclass(frozen=True)
class Recipe:
    """What is drawn, each number uniformly from its range.

    Parameters
    ----------
    shift : (float, float)
        Largest shift along x and y, shares of the width and the height.
    scale : float
        x and y are scaled by two factors between 1 - scale and 1 + scale.
    rotate : float
        Largest angle to either side, degrees.
    light : float
        Largest change of contrast, and of brightness as a share of white.
    holes : (int, int)
        Least and greatest number of holes.
    hole_sides : (float, float)
        Least and greatest side of a hole, shares of the image's, rounded down to whole pixels.
    kept_width : float
        Share of the width that a random crop keeps.
    """

    shift: tuple[float, float]
    scale: float
    rotate: float
    light: float
    holes: tuple[int, int] = (0, 0)
    hole_sides: tuple[float, float] = (0.0, 0.0)
    kept_width: float = 1.0

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Draw:
        """Draw for slices of a shape (H, W), pixels."""
        height, width = shape
        matrix = self._map(shape, rng) if rng.random() < MAP_SHARE else None
        light = None
        if rng.random() < LIGHT_SHARE:
            light = 1 + rng.uniform(-self.light, self.light), rng.uniform(-self.light, self.light)
        holes = np.zeros((0, 4), np.int64)
        if self.holes[1] and rng.random() < HOLES_SHARE:
            holes = self._holes(shape, rng)
        kept = int(self.kept_width * width)
        return Draw(matrix, light, holes, (int(rng.integers(width - kept + 1)), 0, kept, height))

    def _map(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw a map that scales, turns and shifts about the middle of the image."""
        size = np.array(shape[::-1])
        shift = rng.uniform(-1, 1, 2) * self.shift * size
        scale = rng.uniform(1 - self.scale, 1 + self.scale, 2)
        angle = math.radians(rng.uniform(-self.rotate, self.rotate))
        cosine, sine = math.cos(angle), math.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]]) * scale
        middle = (size - 1) / 2
        return np.column_stack([linear, middle + shift - linear @ middle])

    def _holes(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw holes that lie in the image as a whole."""
        count = int(rng.integers(self.holes[0], self.holes[1] + 1))
        size = np.array(shape[::-1])
        least, greatest = ((share * size).astype(np.int64) for share in self.hole_sides)
        sides = rng.integers(least, greatest + 1, (count, 2))
        start = rng.integers(0, size - sides + 1)
        return np.hstack([start, start + sides])


class Augmentation:
    """Resize slices, then apply one random draw to all of them.

    Parameters
    ----------
    size : tuple of int, optional
        Height and width to resize to, pixels; None keeps the size.
    interpolation : int
        OpenCV's constant, for the resizing.
    recipe : Recipe, optional
        Random part; None in validation.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        interpolation: int = cv2.INTER_LINEAR,
        recipe: Recipe | None = None,
    ) -> None:
        self.size = size
        self.interpolation = interpolation
        self.recipe = recipe

    def __call__(self, images: Pixels, rng: np.random.Generator, points: Points | None = None) -> tuple[Pixels, Points]:
        """Augment the slices of one item.

        Parameters
        ----------
        images : ndarray, shape (S, H, W), uint8
            Slices.
        rng : numpy Generator
            All randomness comes from here.
        points : ndarray, shape (K, 2), optional
            x, y in pixels that must stay inside the image and outside holes; NaN rows are ignored.

        Returns
        -------
        images : ndarray, shape (S, H', W'), uint8
            The slices.
        points : ndarray, shape (K, 2)
            The points in their pixels; (0, 2) when none were given.
        """
        points = np.zeros((0, 2)) if points is None else np.asarray(points, dtype=np.float64)
        if self.size is not None:
            points = points * np.divide(self.size, images.shape[1:])[::-1]
            images = resize(images, self.size, self.interpolation)
        if self.recipe is None:
            return images, points
        shape = images.shape[1], images.shape[2]
        for _ in range(ATTEMPTS):
            draw = self.recipe.draw(shape, rng)
            moved = draw.points(points)
            if draw.shows(moved):
                return draw.images(images), moved
        # Batches need equal sizes: squeeze the whole slice where the draws would have cropped it.
        size = draw.crop[3], draw.crop[2]
        return resize(images, size, self.interpolation), points * np.divide(size, shape)[::-1]


SMALL_HOLES: Final[dict[str, Any]] = {"holes": (10, 30), "hole_sides": (0.01, 0.08), "kept_width": 0.75}
"""Holes and crop of all published recipes but the axial localiser's."""

RECIPES: Final = {
    "none": None,
    "localiser_axial": Recipe((0.2, 0.2), 0.2, 25, 0.2, holes=(1, 1), hole_sides=(0.5, 0.5)),  # 192 px of 384
    "localiser_sagittal": Recipe((0.2, 0.2), 0.2, 20, 0.2, **SMALL_HOLES),
    "classifier": Recipe((0.2, 0.0), 0.2, 30, 0.1, **SMALL_HOLES),
    "light": Recipe((0.1, 0.1), 0.15, 10, 0.2),
    "slight": Recipe((0.03, 0.03), 0.05, 5, 0.2),
}
"""What `cfg.aug` names. Those of the published configs have their values. For small networks that see few images for a
short time, `light` suits localisers, and `slight` classifiers, whose crops are centred on what is to be graded."""


def input_size(cfg: Config) -> tuple[int, int]:
    """Height and width of the network's input, pixels, from ``cfg.img_size`` (a side, or both)."""
    height, width = (cfg.img_size,) * 2 if isinstance(cfg.img_size, int) else cfg.img_size
    return height, width


def build_augmentation(cfg: Config, mode: Mode) -> Augmentation | None:
    """Build what a config asks for.

    Parameters
    ----------
    cfg : config
        Reads `aug` (a key of `RECIPES`) and `img_size`.
    mode : {'train', 'val', 'test'}
        Random draws only in 'train'.

    Returns
    -------
    Augmentation or None
        None when nothing is left to do: a classifier's crops come at their size already.

    Raises
    ------
    UserError
        If there is no recipe of that name.
    """
    if cfg.aug not in RECIPES:
        raise UserError(
            f"aug {cfg.aug!r}: must be one of {', '.join(RECIPES)}{nearest(str(cfg.aug), list(RECIPES))}", status=2
        )
    recipe = RECIPES[cfg.aug] if mode == "train" else None
    if cfg.aug == "classifier":
        return Augmentation(recipe=recipe) if recipe else None
    cubic = cfg.aug == "localiser_sagittal"
    return Augmentation(input_size(cfg), cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR, recipe)
