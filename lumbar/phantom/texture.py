"""Small periodic volumes of smooth noise that give tissues their grain, streaks and blobs.

They are made once per process from fixed seeds; a patient looks into them from an offset of its own.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Texture = Literal["grain", "streak", "blob"]

_SHAPE: Final[dict[str, tuple[int, int, int]]] = {
    "grain": (64, 64, 64),
    "streak": (128, 128, 64),
    "blob": (64, 64, 64),
}
"""Voxels along each side of a volume: powers of 2."""

_VOXEL: Final[dict[str, tuple[float, float, float]]] = {
    "grain": (0.9, 0.9, 0.9),
    "streak": (0.6, 0.6, 2.0),
    "blob": (2.0, 2.0, 2.0),
}
"""Size of a voxel, mm."""

_SMOOTHNESS: Final[dict[str, tuple[float, float, float]]] = {
    "grain": (0.9, 0.9, 0.9),
    "streak": (2.6, 2.6, 5.0),
    "blob": (3.2, 3.2, 3.2),
}
"""Standard deviation of the blur that makes the noise smooth, voxels."""


@cache
def volume(texture: Texture) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and standard deviation 1, periodic, flattened."""
    rng = np.random.default_rng([64, list(_SHAPE).index(texture)])
    noise = gaussian_filter(rng.standard_normal(_SHAPE[texture], dtype=np.float32), _SMOOTHNESS[texture], mode="wrap")
    return ((noise - noise.mean()) / noise.std()).astype(np.float32).ravel()


def look(
    texture: Texture,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    offset: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Look a texture up at points (nearest voxel).

    Parameters
    ----------
    texture : {"grain", "streak", "blob"}
        Which volume; streaks run along the third axis.
    x, y, z : ndarray of float32, broadcastable
        Points, mm.
    offset : ndarray of int, shape (3,)
        Where the patient starts in the volume, voxels.

    Returns
    -------
    ndarray of float32
        Mean 0, standard deviation 1.
    """
    shape = _SHAPE[texture]
    i, j, k = (
        (axis * np.float32(1 / voxel) + np.float32(start + 4096)).astype(np.int32) & (side - 1)  # 4096: positive
        for axis, voxel, start, side in zip((x, y, z), _VOXEL[texture], offset, shape, strict=True)
    )
    return volume(texture)[(i * shape[1] + j) * shape[2] + k]
