"""What the scanner adds to a perfect picture: coil, fat's shift, blur, motion, noise, 12-bit numbers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.phantom.spine import Table

WHITE = 4095
"""Largest pixel value: 12 bits."""


@dataclass(frozen=True)
class Scanner:
    """How one series is acquired.

    Parameters
    ----------
    coil_reach : float
        Depth at which the surface coil's sensitivity has halved, mm.
    evenness : float
        Share of the coil's fall-off that the scanner has corrected (raising the noise in front), 0 to 1.
    noise : float
        Standard deviation of the noise in each of the two channels of the receiver, share of fat's T1 signal.
    blur : float
        Standard deviation of the in-plane blur, pixels.
    fat_shift : float
        Chemical shift of fat along columns, pixels; 0 for none.
    ghost : float
        Brightness of each motion ghost, share of the picture's.
    ghost_step : float
        Distance between ghosts, share of the field of view along the phase-encoding axis.
    scale : float
        Pixel value of a signal of 1.
    """

    coil_reach: float
    evenness: float
    noise: float
    blur: float
    fat_shift: float
    ghost: float
    ghost_step: float
    scale: float


def sample_scanner(rng: np.random.Generator) -> Scanner:
    """Draw how a series is acquired."""
    shifted, moved = rng.random(2) < (0.35, 0.4)
    return Scanner(
        coil_reach=rng.uniform(80, 140),
        evenness=rng.uniform(0.2, 0.9),
        noise=rng.uniform(0.004, 0.013),
        blur=rng.uniform(0.5, 0.85),
        fat_shift=rng.uniform(0.6, 1.4) * bool(shifted),
        ghost=rng.uniform(0.005, 0.025) * bool(moved),
        ghost_step=rng.uniform(0.15, 0.4),
        scale=rng.uniform(900, 1500),
    )


def acquire(
    picture: Table, depth: Table, scanner: Scanner, level: float, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Turn a perfect picture into a scanner's.

    Parameters
    ----------
    picture : ndarray of float32, shape (channels, rows, columns)
        Signal; two channels are water and fat.
    depth : ndarray of float32, shape (rows, columns)
        Distance of each pixel from the coil, mm.
    scanner : Scanner
        How it is acquired.
    level : float
        Signal that counts as bright in this contrast.
    rng : Generator
        Source of the noise.

    Returns
    -------
    ndarray of uint16, shape (rows, columns)
        0 to `WHITE`.
    """
    flat = picture[0]
    if len(picture) > 1:
        shift = np.array([[1, 0, scanner.fat_shift], [0, 1, 0]], dtype=np.float32)
        flat = flat + cv2.warpAffine(picture[1], shift, flat.shape[::-1], flags=cv2.INTER_LINEAR)
    flat = cv2.GaussianBlur(flat, (0, 0), scanner.blur) / np.float32(level)
    relative = np.maximum(depth, 0) * np.float32(1 / scanner.coil_reach)
    coil = 1 / (1 + relative * relative)
    flat *= coil
    if scanner.ghost:
        rows = flat.shape[0]
        step = round(scanner.ghost_step * rows)
        flat += np.float32(scanner.ghost) * (np.roll(flat, step, axis=0) + np.roll(flat, -step, axis=0))
    noise = rng.standard_normal((2, *flat.shape), dtype=np.float32) * np.float32(scanner.noise)
    flat += noise[0]
    flat = np.hypot(flat, noise[1])
    flat *= np.float32(scanner.scale) / np.maximum(coil, 0.04) ** np.float32(scanner.evenness)
    return np.clip(np.rint(flat), 0, WHITE).astype(np.uint16)
