"""The slices of a series, as pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lumbar.images.geometry import SlicePlane
from lumbar.phantom.bones import paint_arch, paint_body, paint_disc, paint_joint, paint_sacrum
from lumbar.phantom.canal import paint_canal, paint_foramina, paint_recesses, paint_sac, paint_traversing_roots
from lumbar.phantom.canvas import Canvas
from lumbar.phantom.patient import Patient
from lumbar.phantom.scanner import acquire, sample_scanner
from lumbar.phantom.tissue import Contrast, check_contrast, signals
from lumbar.phantom.trunk import paint_trunk

SUB_PLANES = 3
"""Parallel planes averaged over a slice's thickness around the spine; one will do for the trunk."""

SPINE_BOX: Final = ((-300.0, 300.0), (-60.0, 60.0), (-42.0, 52.0))
"""Straight coordinates (s, u, v) between which the spine lies, mm."""

COIL_DEPTH: Final = 55.0
"""Distance of the posterior wall from the surface coil in a patient without fat, mm."""


def _paint_spine(canvas: Canvas) -> None:
    """Paint the spine; what covers something else comes after it."""
    bones, discs = canvas.patient.vertebrae, canvas.patient.discs
    lumbar = [at for at, bone in enumerate(bones) if not bone.sacral]
    paint_sacrum(canvas, bones)
    paint_foramina(canvas)
    for at in lumbar[::-1]:
        paint_arch(canvas, bones[at], bones[at].pedicle_s - bones[at + 1].pedicle_s)
    first_sacral = lumbar[-1] + 1
    paint_arch(canvas, bones[first_sacral], bones[first_sacral - 1].pedicle_s - bones[first_sacral].pedicle_s)
    for at in lumbar:
        paint_joint(canvas, bones[at], bones[at + 1], discs[at], bones[at].pedicle_s - bones[at + 1].pedicle_s)
    paint_canal(canvas)
    for upper, lower, disc in zip(bones, bones[1:], discs, strict=False):
        paint_disc(canvas, upper, lower, disc)
    for bone in bones:
        paint_body(canvas, bone)
    paint_recesses(canvas)
    paint_traversing_roots(canvas)
    paint_sac(canvas)


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
        Who.
    planes : sequence of SlicePlane
        Where; any orientation.
    shape : (int, int)
        Rows, columns of every slice.
    thickness : float
        Slice thickness, mm.
    contrast : {"T1", "T2", "STIR"}
        The sequence.
    rng : Generator
        Source of randomness: the scanner's state, then each slice's noise.

    Yields
    ------
    ndarray of uint16, shape (rows, columns)
        12-bit pixels, one slice after another.

    Raises
    ------
    ValueError
        If the contrast is unknown, the thickness not positive or the shape not two positive numbers.
    """
    check_contrast(contrast)
    if not thickness > 0:
        raise ValueError(f"thickness must be positive, got {thickness!r}")
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be two positive numbers, got {shape!r}")
    return _slices(patient, planes, shape, thickness, contrast, rng)


def _slices(
    patient: Patient,
    planes: Sequence[SlicePlane],
    shape: tuple[int, int],
    thickness: float,
    contrast: Contrast,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.uint16]]:
    scanner = sample_scanner(rng)
    tissues = signals(contrast, split_fat=scanner.fat_shift > 0)
    level = float(max(tissues["fat"].sum(), tissues["csf"].sum()))
    for plane in planes:
        picture = np.zeros((len(tissues["air"]), 1, *shape), dtype=np.float32)
        canvas = Canvas(patient, plane, picture, 0.0, tissues)
        paint_trunk(canvas)
        near = canvas.window(*SPINE_BOX)
        if near is not None:
            thick = canvas.thick(near, SUB_PLANES, thickness)
            _paint_spine(thick)
            thick.picture.mean(axis=1, out=picture[:, 0, near.rows, near.cols])
        yield acquire(picture[:, 0], COIL_DEPTH + patient.build.back_fat - canvas.v[0], scanner, level, rng)
