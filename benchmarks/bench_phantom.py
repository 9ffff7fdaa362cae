"""How fast the phantom is imaged: slices per second on one core, and where the time goes.

One patient, 256 x 256 pixels, slices of 4 mm: a sagittal stack over the width of the spine and an axial one through all
discs. The scanner's part (coil, blur, noise) is measured alone on the same pictures, the rest is painting the anatomy.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import cv2
import numpy as np

from lumbar.anatomy import LEVELS, TARGETS
from lumbar.cli import positive_int
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.patient import Patient, sample_patient
from lumbar.phantom.render import acquire, render_series, sample_scanner

SHAPE = (256, 256)


def sagittal_stack(patient: Patient) -> list[SlicePlane]:
    """Lay 15 slices over the width of the spine."""
    x, y, z = patient.centres("l3_l4")["canal"]
    return [
        SlicePlane.from_tags((x + shift, y - 140, z + 128), (0, 1, 0, 0, 0, -1), (1, 1)) for shift in range(-28, 29, 4)
    ]


def axial_stack(patient: Patient) -> list[SlicePlane]:
    """Lay 6 slices about each disc."""
    planes = []
    for level in LEVELS:
        centre = patient.centres(level)["canal"]
        planes += [
            SlicePlane.from_tags(
                (centre[0] - 100, centre[1] - 120, centre[2] + above), (1, 0, 0, 0, 1, 0), (0.78, 0.78)
            )
            for above in range(-10, 11, 4)
        ]
    return planes


def milliseconds(work: Sequence[object], start: float) -> float:
    """Time since `start` per piece of work."""
    return (time.process_time() - start) * 1000 / len(work)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=positive_int, default=3, help="the best of so many (default: %(default)s)")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    grades = dict.fromkeys(TARGETS, 1)
    best: dict[str, float] = {}

    def keep(name: str, value: float) -> None:
        best[name] = min(best.get(name, np.inf), value)

    for seed in range(args.repeats):
        start = time.process_time()
        patient = sample_patient(np.random.default_rng(seed), grades)
        list(render_series(patient, sagittal_stack(patient)[:1], (8, 8), 4.0, "T1", np.random.default_rng(seed)))
        keep("patient", milliseconds([patient], start))
        for name, planes in (("sagittal", sagittal_stack(patient)), ("axial", axial_stack(patient))):
            start = time.process_time()
            images = list(render_series(patient, planes, SHAPE, 4.0, "T2", np.random.default_rng(seed)))
            keep(name, milliseconds(images, start))
        rng = np.random.default_rng(seed)
        scanner, picture = sample_scanner(rng), np.full((1, *SHAPE), 0.5, dtype=np.float32)
        start = time.process_time()
        images = [acquire(picture, picture[0], scanner, 1.0, rng) for _ in range(20)]
        keep("scanner", milliseconds(images, start))
    for name in ("sagittal", "axial"):
        each, share = best[name], best["scanner"] / best[name]
        print(f"{name:>8}: {1000 / each:5.1f} slices/s per core ({each:.1f} ms, {share:.0%} of it the scanner)")
    print(f" patient: {best['patient']:.0f} ms once per study")
    return 0


if __name__ == "__main__":
    sys.exit(main())
