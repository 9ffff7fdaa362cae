"""Draw the figure of docs/phantom.md: every sequence of one patient, and every grade of one level.

With --real, slices of a real study (a folder laid out as the competition's) stand below those of the phantom, at the
same scale and window, to compare by eye; that picture goes to another file, because the phantom alone is published.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar import tables
from lumbar.anatomy import AXIAL_T2, LEVEL_LABELS, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from lumbar.cli import UserError, require_dir, run
from lumbar.files import write_bytes
from lumbar.images.dicom import read_slice
from lumbar.images.geometry import SlicePlane, Vector
from lumbar.labels.human import human_points
from lumbar.phantom.patient import Patient, sample_patient
from lumbar.phantom.render import render_series
from lumbar.phantom.tissue import Contrast

PANEL: Final = 158
"""Side of a panel, pixels."""

SEED: Final = 3
"""Seed of the patient and of the scanner: chosen for a level without scoliosis in the middle of the picture."""

Picture = NDArray[Any]


class Slice(NamedTuple):
    """A slice and where it lies."""

    pixels: NDArray[np.float32]
    plane: SlicePlane


def panel(image: Slice, centre: Vector, side: float, title: str) -> Picture:
    """Cut a square of `side` mm about a point (patient mm) out of a slice, its title in a bar above.

    It is windowed by the slice's 0.5 % and 99.5 % quantiles.
    """
    low, high = np.quantile(image.pixels, (0.005, 0.995))
    grey = np.clip((image.pixels - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.float32)
    middle = image.plane.to_pixels(centre)
    scale_x, scale_y = side / PANEL / image.plane.col_spacing, side / PANEL / image.plane.row_spacing
    half = 0.5 * (PANEL - 1)
    matrix = np.array([[scale_x, 0, middle[0] - half * scale_x], [0, scale_y, middle[1] - half * scale_y]])
    cut = cv2.warpAffine(grey, matrix, (PANEL, PANEL), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    bar = np.full((18, PANEL), 24, dtype=np.uint8)
    cv2.putText(bar, title, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, 235, 1, cv2.LINE_AA)
    levels = (np.rint(cut / 5) * 5).astype(np.uint8)  # fewer grey levels: a smaller file, no visible difference
    return cv2.copyMakeBorder(np.vstack([bar, levels]), 0, 2, 0, 2, cv2.BORDER_CONSTANT, value=(255,))


def sagittal(patient: Patient, x: float) -> SlicePlane:
    """Lay a sagittal plane of 256 x 256 mm through patient x (mm), L3 in its middle."""
    middle = patient.level_point("l3_l4")
    return SlicePlane.from_tags((x, middle[1] - 136, middle[2] + 128), (0, 1, 0, 0, 0, -1), (0.9, 0.9))


def axial(patient: Patient, above: float = 0.0) -> SlicePlane:
    """Lay a plane of 180 x 180 mm parallel to the disc L4/L5, some mm above it."""
    normal = patient.disc_normal("l4_l5")
    right = np.array([1.0, 0, 0]) - normal[0] * normal
    right /= np.linalg.norm(right)
    back = np.cross(normal, right)
    origin = patient.centres("l4_l5")["canal"] + above * normal - 90 * right - 105 * back
    return SlicePlane.from_tags(origin, (*right, *back), (0.7, 0.7))


def image(patient: Patient, plane: SlicePlane, contrast: Contrast) -> Slice:
    """Render one slice of 4 mm."""
    pixels = next(render_series(patient, [plane], (285, 285), 4.0, contrast, np.random.default_rng(SEED)))
    return Slice(pixels.astype(np.float32), plane)


def patient_with(**grades: int) -> Patient:
    """Draw the figure's patient, normal but for the grades given."""
    return sample_patient(np.random.default_rng(SEED), dict.fromkeys(TARGETS, 0) | grades)


def sequences() -> list[Picture]:
    """Draw one patient in every sequence and plane."""
    patient = patient_with()
    upper, lower = patient.centres("l3_l4"), patient.centres("l4_l5")
    middle, foramen = upper["canal"], upper["left_foramen"]
    mid_plane, lateral = sagittal(patient, float(middle[0])), sagittal(patient, float(foramen[0]))
    return [
        panel(image(patient, mid_plane, "T1"), middle, 200, "Sagittal T1"),
        panel(image(patient, lateral, "T1"), foramen, 200, "Sagittal T1, foramina"),
        panel(image(patient, mid_plane, "T2"), middle, 200, "Sagittal T2"),
        panel(image(patient, mid_plane, "STIR"), middle, 200, "Sagittal STIR"),
        panel(image(patient, axial(patient), "T2"), lower["canal"], 120, "Axial T2, disc"),
        panel(image(patient, axial(patient, 19.0), "T2"), lower["canal"], 120, "Axial T2, pedicles"),
    ]


def grades(condition: str, contrast: Contrast, structure: str, side: float, view: str, name: str) -> list[Picture]:
    """Draw L4/L5 in the three grades of one condition: `side` mm about a structure, in a sagittal or an axial view."""
    result = []
    for grade, word in enumerate(("normal", "moderate", "severe")):
        patient = patient_with(**{f"{condition}_l4_l5": grade})
        centre = patient.centres("l4_l5")[structure]
        plane = axial(patient) if view == "axial" else sagittal(patient, float(centre[0]))
        result.append(panel(image(patient, plane, contrast), centre, side, f"{name}, {word}"))
    return result


def real(data: Path) -> list[Picture]:
    """Cut the same panels out of the last study that has all three series types."""
    require_dir(data, "a folder laid out as the competition's download", "Give another one with --real.")
    series = tables.read_table(data, tables.TRAIN_SERIES)
    points = human_points(tables.read_table(data, tables.LABEL_COORDINATES))
    kinds = series.groupby("study_id")["series_description"].nunique()
    if not (kinds == 3).any():
        raise UserError(f"{data}: no study has all of {SAGITTAL_T1}, {SAGITTAL_T2} and {AXIAL_T2}")
    study = kinds.index[kinds == 3][-1]
    numbers = series[series["study_id"] == study].groupby("series_description")["series_id"].first()
    stacks = {kind: read_series(data / "train_images" / str(study) / str(number)) for kind, number in numbers.items()}

    def point(kind: str, level: str) -> tuple[Vector, Slice]:
        """Find the last human point of a series at a level: patient mm, and its slice."""
        found = points[(points["series_id"] == numbers[kind]) & (points["level"] == LEVEL_LABELS.index(level))]
        if found.empty:
            raise UserError(f"series {numbers[kind]} has no point at {level} in {tables.LABEL_COORDINATES.path}")
        row = found.iloc[-1]
        item = stacks[kind][int(row["instance_number"])]
        return item.plane.to_patient((row["x"], row["y"])), item

    def nearest(kind: str, place: Vector) -> Slice:
        return min(stacks[kind].values(), key=lambda item: abs(float(item.plane.distance(place))))

    canal, canal_slice = point(SAGITTAL_T2, "L3/L4")
    foramen, foramen_slice = point(SAGITTAL_T1, "L3/L4")
    lower, _ = point(SAGITTAL_T2, "L4/L5")
    above = lower + np.array([0, 0, 19])
    return [
        panel(nearest(SAGITTAL_T1, canal), canal, 200, "Sagittal T1"),
        panel(foramen_slice, foramen, 200, "Sagittal T1, foramina"),
        panel(canal_slice, canal, 200, "Sagittal T2/STIR"),
        np.full_like(panel(canal_slice, canal, 200, ""), 255),
        panel(nearest(AXIAL_T2, lower), lower, 120, "Axial T2, disc"),
        panel(nearest(AXIAL_T2, above), above, 120, "Axial T2, pedicles"),
    ]


def read_series(folder: Path) -> dict[int, Slice]:
    """Read a series: slices by instance number."""
    result = {}
    for path in folder.glob("*.dcm"):
        found = read_slice(path)
        geometry = (found.tags[tag] for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
        result[int(path.stem)] = Slice(found.pixels.astype(np.float32), SlicePlane.from_tags(*geometry))
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Draw and save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, metavar="DIR", help="put slices of a real study beside the phantom's")
    parser.add_argument("--out", type=Path, help="default: docs/images/phantom.png; with --real: phantom_and_real.png")
    args = parser.parse_args(argv)
    rows = [sequences()]
    if args.real:
        rows.append(real(args.real))
    rows += [
        grades("spinal_canal_stenosis", "T2", "canal", 80, "sagittal", "Canal")
        + grades("spinal_canal_stenosis", "T2", "canal", 60, "axial", "Canal, axial"),
        grades("left_neural_foraminal_narrowing", "T1", "left_foramen", 70, "sagittal", "Left foramen")
        + grades("left_subarticular_stenosis", "T2", "canal", 60, "axial", "Left recess"),
    ]
    out = args.out or Path("phantom_and_real.png" if args.real else "docs/images/phantom.png")
    _, content = cv2.imencode(".png", np.vstack([np.hstack(row) for row in rows]), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    write_bytes(out, content.tobytes())
    print(f"{out}: drawn, {len(content) // 1000} kB")
    return 0


if __name__ == "__main__":
    run(main)
