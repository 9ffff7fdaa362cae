"""How fast the phantom is imaged: slices per second on one core, and where the time goes.

One patient, 256 x 256 pixels, slices of 4 mm: a sagittal stack over the width of the spine and an axial one through all
discs. The scanner's part (coil, blur, noise) is measured alone on the same pictures, the rest is painting the anatomy.
"""

from __future__ import annotations

import numpy as np
from common import Best, use_one_thread

from lumbar.anatomy import LEVELS, TARGETS
from lumbar.cli import parser, positive_int
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


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__, data=False, workers=False)
    arguments.add_argument("--repeats", type=positive_int, default=3, help="the best of so many (default: %(default)s)")
    repeats = arguments.parse_args().repeats
    use_one_thread()
    grades = dict.fromkeys(TARGETS, 1)
    best = Best()

    def make_patient(seed: int) -> Patient:
        """Draw a patient and, by rendering a tiny slice, make its tables."""
        patient = sample_patient(np.random.default_rng(seed), grades)
        list(render_series(patient, sagittal_stack(patient)[:1], (8, 8), 4.0, "T1", np.random.default_rng(seed)))
        return patient

    def scan(rng: np.random.Generator) -> None:
        acquire(picture, picture[0], scanner, 1.0, rng)

    scanner, picture = sample_scanner(np.random.default_rng(0)), np.full((1, *SHAPE), 0.5, dtype=np.float32)
    for seed in range(repeats):
        (patient,) = best.timed("patient", make_patient, [seed])
        for name, planes in (("sagittal", sagittal_stack(patient)), ("axial", axial_stack(patient))):
            images = render_series(patient, planes, SHAPE, 4.0, "T2", np.random.default_rng(seed))
            best.timed(name, lambda _, images=images: next(images), planes)
        best.timed("scanner", scan, np.random.default_rng(seed).spawn(20))
    for name in ("sagittal", "axial"):
        each, share = best[name], best["scanner"] / best[name]
        print(f"{name:>8}: {1000 / each:5.1f} slices/s per core ({each:.1f} ms, {share:.0%} of it the scanner)")
    print(f" patient: {best['patient']:.0f} ms once per study")


if __name__ == "__main__":
    main()
