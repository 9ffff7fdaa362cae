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

SIDE: Final = 64
"""Voxels along each side of a volume."""

_SMOOTHNESS: Final[dict[str, tuple[float, float, float]]] = {
    "grain": (0.8, 0.8, 0.8),
    "streak": (1.1, 1.1, 9.0),
    "blob": (3.2, 3.2, 3.2),
}
_VOXEL: Final[dict[str, float]] = {"grain": 1.1, "streak": 1.2, "blob": 2.0}


@cache
def volume(texture: Texture) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and standard deviation 1, periodic, flattened (`SIDE` cubed values)."""
    rng = np.random.default_rng([64, list(_SMOOTHNESS).index(texture)])
    noise = gaussian_filter(rng.standard_normal((SIDE,) * 3, dtype=np.float32), _SMOOTHNESS[texture], mode="wrap")
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
    scale = np.float32(1 / _VOXEL[texture])
    i, j, k = (
        (axis * scale + np.float32(start)).astype(np.int32) & (SIDE - 1)
        for axis, start in zip((x, y, z), offset + 64 * SIDE, strict=True)  # positive before truncation
    )
    return volume(texture)[(i * SIDE + j) * SIDE + k]
