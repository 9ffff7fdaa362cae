"""The slices of a series, as pixels: the anatomy painted, then what a scanner adds to a perfect picture.

That is the coil, fat's shift, blur, motion, noise and 12-bit numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.images.geometry import SlicePlane
from lumbar.phantom.bones import paint_arch, paint_body, paint_disc, paint_joint, paint_sacrum
from lumbar.phantom.canal import paint_canal, paint_foramina, paint_recesses, paint_sac, paint_traversing_roots
from lumbar.phantom.canvas import Canvas
from lumbar.phantom.patient import Patient
from lumbar.phantom.spine import Table
from lumbar.phantom.tissue import Contrast, signals
from lumbar.phantom.trunk import paint_trunk

WHITE: Final = 4095
"""Greatest pixel value: 12 bits."""

SUB_PLANES: Final = 3
"""Parallel planes averaged over a slice's thickness around the spine; one will do for the trunk."""

SPINE_BOX: Final = ((-300.0, 300.0), (-60.0, 60.0), (-42.0, 52.0))
"""Straight coordinates (s, u, v) between which the spine lies, mm."""

COIL_DEPTH: Final = 55.0
"""Distance of the posterior wall from the surface coil in a patient without fat, mm."""


@dataclass(frozen=True)
class Scanner:
    """How one series is acquired."""

    coil_reach: float  # depth at which the surface coil's sensitivity has halved, mm
    evenness: float  # share of the coil's fall-off that is corrected (raising the noise in front), 0 to 1
    noise: float  # standard deviation in each of the receiver's two channels, share of a bright signal
    blur: float  # standard deviation of the in-plane blur, pixels
    fat_shift: float  # chemical shift of fat along columns, pixels; 0 for none
    ghost: float  # brightness of each motion ghost, share of the picture's
    ghost_step: float  # distance between ghosts, share of the field of view along the phase-encoding axis
    scale: float  # pixel value of a bright signal


def render_series(
    patient: Patient,
    planes: Sequence[SlicePlane],
    shape: tuple[int, int],
    thickness: float,
    contrast: Contrast,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.uint16]]:
    """Image a patient on a stack of slices, acquired in one go (one coil, one noise level).

    Parameters
    ----------
    patient : Patient
        The anatomy.
    planes : sequence of SlicePlane
        The slices; any orientation.
    shape : (int, int)
        Rows, columns of every slice.
    thickness : float
        Slice thickness, mm.
    contrast : {"T1", "T2", "STIR"}
        The sequence.
    rng : Generator
        Draws the scanner's state, then each slice's noise.

    Yields
    ------
    ndarray of uint16, shape (rows, columns)
        12-bit pixels, one slice after another.
    """
    scanner = sample_scanner(rng)
    tissues = signals(contrast, split_fat=scanner.fat_shift > 0)
    level = float(max(tissues["fat"].sum(), tissues["csf"].sum()))
    for plane in planes:
        picture = np.zeros((len(tissues["air"]), 1, *shape), dtype=np.float32)
        canvas = Canvas.over(patient, plane, picture, 0.0, tissues)
        paint_trunk(canvas)
        near = canvas.window(*SPINE_BOX)
        if near is not None:
            layers = np.repeat(near.picture, SUB_PLANES, axis=1)
            part = replace(plane, origin=plane.to_patient(near.corner))
            _paint_spine(Canvas.over(patient, part, layers, thickness, tissues))
            layers.mean(axis=1, out=near.picture[:, 0])
        yield acquire(picture[:, 0], COIL_DEPTH + patient.build.back_fat - canvas.v[0], scanner, level, rng)


def _paint_spine(canvas: Canvas) -> None:
    """Paint the spine; what covers something else comes after it."""
    bones, discs = canvas.patient.vertebrae, canvas.patient.discs
    arms = [upper.pedicle_s - lower.pedicle_s for upper, lower in pairwise(bones)]
    lumbar = [at for at, bone in enumerate(bones) if not bone.sacral]
    first_sacral = lumbar[-1] + 1
    paint_sacrum(canvas)
    paint_foramina(canvas)
    for at in lumbar[::-1]:
        paint_arch(canvas, bones[at], arms[at])
    paint_arch(canvas, bones[first_sacral], arms[first_sacral - 1])
    for at in lumbar:
        paint_joint(canvas, bones[at], bones[at + 1], discs[at], arms[at])
    paint_canal(canvas)
    for (upper, lower), disc in zip(pairwise(bones), discs, strict=True):
        paint_disc(canvas, upper, lower, disc)
    for bone in bones:
        paint_body(canvas, bone)
    paint_recesses(canvas)
    paint_traversing_roots(canvas)
    paint_sac(canvas)


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
    """Turn a perfect picture into a scanner's, shape (rows, columns), 0 to `WHITE`.

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
