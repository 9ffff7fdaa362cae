"""Resizing and random augmentation: the only module that knows albumentations.

An augmentation takes a whole sequence as one array and applies one draw to all its slices. It takes its randomness
from the caller's generator alone, so that an item does not depend on which worker makes it or on what came before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.cli import UserError, nearest
from lumbar.volumes import resize

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask the network for a newer release

import albumentations

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
Mode = Literal["train", "val", "test"]

ATTEMPTS: Final = 5
"""Draws made at most while a key point leaves the image; then the slice is used un-augmented."""


class Augmentation:
    """Resize slices, then apply one random draw to all of them.

    Parameters
    ----------
    size : tuple of int, optional
        Height and width to resize to, pixels; None keeps the size.
    interpolation : int
        OpenCV's constant, for the resizing.
    transforms : sequence of albumentations transforms
        Random part; empty in validation.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        interpolation: int = cv2.INTER_LINEAR,
        transforms: Sequence[Any] = (),
    ) -> None:
        self.size = size
        self.interpolation = interpolation
        self.transforms = list(transforms)
        points = albumentations.KeypointParams("xy", remove_invisible=False)
        self._pipeline: Any = (
            albumentations.Compose(self.transforms, keypoint_params=points) if self.transforms else None
        )

    def __call__(self, images: Pixels, rng: np.random.Generator, points: Points | None = None) -> tuple[Pixels, Points]:
        """Augment the slices of one item.

        Parameters
        ----------
        images : ndarray, shape (S, H, W), uint8
            Slices.
        rng : numpy Generator
            All randomness comes from here.
        points : ndarray, shape (K, 2), optional
            x, y in pixels that must stay inside the image; NaN rows are ignored.

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
        if self._pipeline is None:
            return images, points
        for _ in range(ATTEMPTS):
            drawn, moved = self._draw(images, points, rng)
            if _inside(moved, drawn.shape[1:]):
                return drawn, moved
        # Batches need equal sizes: squeeze the whole slice where the draws would have cropped it.
        shape = drawn.shape[1:]
        return resize(images, shape, self.interpolation), points * np.divide(shape, images.shape[1:])[::-1]

    def _draw(self, images: Pixels, points: Points, rng: np.random.Generator) -> tuple[Pixels, Points]:
        """Apply the random part once."""
        # Compose.set_random_seed would give every transform the same seed, and so correlated draws.
        for transform in self.transforms:
            transform.set_random_seed(int(rng.integers(2**32)))
        known = ~np.isnan(points).any(axis=1)
        result = self._pipeline(images=images, keypoints=points[known])
        moved = np.full_like(points, np.nan)
        moved[known] = np.reshape(result["keypoints"], (-1, 2))
        return result["images"], moved


def _inside(points: Points, shape: tuple[int, ...]) -> bool:
    """Whether all points that are not NaN lie in an image of a shape (H, W)."""
    known = points[~np.isnan(points).any(axis=1)]
    return bool(((known >= 0) & (known < shape[::-1])).all())


def input_size(cfg: Any) -> tuple[int, int]:
    """Height and width of the network's input, pixels, from ``cfg.img_size`` (a side, or both)."""
    height, width = (cfg.img_size,) * 2 if isinstance(cfg.img_size, int) else cfg.img_size
    return height, width


def _affine(shift_x: float, shift_y: float, scale: float, rotate: float) -> Any:
    return albumentations.Affine(
        translate_percent={"x": (-shift_x, shift_x), "y": (-shift_y, shift_y)},
        scale=(1 - scale, 1 + scale),
        keep_ratio=True,
        rotate=(-rotate, rotate),
        p=0.7,
    )


def _contrast(limit: float) -> Any:
    return albumentations.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=limit, p=0.75)


def _holes() -> Any:
    share = (0.01, 0.08)
    return albumentations.CoarseDropout((10, 30), hole_height_range=share, hole_width_range=share, p=0.8)


def _crop(height: int, width: int) -> Any:
    return albumentations.RandomCrop(height, 3 * width // 4)


def _axial_localiser(height: int, width: int, training: bool) -> Augmentation:
    # The hole was 192 px of a 384 px image.
    hole = (height // 2, height // 2), (width // 2, width // 2)
    transforms = [
        _affine(0.2, 0.2, 0.2, 25),
        _contrast(0.2),
        albumentations.CoarseDropout((1, 1), hole_height_range=hole[0], hole_width_range=hole[1], p=0.8),
    ]
    return Augmentation((height, width), cv2.INTER_LINEAR, transforms if training else ())


def _sagittal_localiser(height: int, width: int, training: bool) -> Augmentation:
    transforms = [_affine(0.2, 0.2, 0.2, 20), _contrast(0.2), _holes(), _crop(height, width)]
    return Augmentation((height, width), cv2.INTER_CUBIC, transforms if training else ())


def _classifier(height: int, width: int, training: bool) -> Augmentation | None:
    if not training:
        return None
    return Augmentation(transforms=[_affine(0.2, 0.0, 0.2, 30), _contrast(0.1), _holes(), _crop(height, width)])


def _light(height: int, width: int, training: bool) -> Augmentation:
    return Augmentation((height, width), transforms=[_affine(0.1, 0.1, 0.15, 10), _contrast(0.2)] if training else ())


def _slight(height: int, width: int, training: bool) -> Augmentation:
    return Augmentation((height, width), transforms=[_affine(0.03, 0.03, 0.05, 5), _contrast(0.2)] if training else ())


def _none(height: int, width: int, _training: bool) -> Augmentation:
    return Augmentation((height, width))


AUGMENTATIONS: Final[dict[str, Callable[[int, int, bool], Augmentation | None]]] = {
    "none": _none,
    "light": _light,
    "slight": _slight,
    "localiser_axial": _axial_localiser,
    "localiser_sagittal": _sagittal_localiser,
    "classifier": _classifier,
}
"""Augmentations by the name that `cfg.aug` gives. Those of the published configs have their values. For small
networks that see few images for a short time, `light` suits localisers, and `slight` classifiers, whose crops are
centred on what is to be graded."""


def build_augmentation(cfg: Any, mode: Mode) -> Augmentation | None:
    """Build what a config asks for.

    Parameters
    ----------
    cfg : config
        Reads `aug` (a key of `AUGMENTATIONS`) and `img_size`.
    mode : {'train', 'val', 'test'}
        Random transforms only in 'train'.

    Returns
    -------
    Augmentation or None
        None when nothing is left to do: a classifier's crops come at their size already.

    Raises
    ------
    UserError
        If there is no augmentation of that name.
    """
    if cfg.aug not in AUGMENTATIONS:
        known = tuple(AUGMENTATIONS)
        raise UserError(f"aug {cfg.aug!r}: must be one of {', '.join(known)}{nearest(str(cfg.aug), known)}", status=2)
    return AUGMENTATIONS[cfg.aug](*input_size(cfg), mode == "train")
