"""Draw the figure of docs/phantom.md: every sequence of one patient, and every grade of one level.

With --real, slices of a real study (a folder laid out as the competition's) stand below those of the phantom, at the
same scale and window, to compare by eye; that picture goes to another file, because the phantom alone is published.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar import tables
from lumbar.anatomy import AXIAL_T2, LEVEL_BY_LABEL, SAGITTAL_T1, SAGITTAL_T2, TARGETS
from lumbar.cli import UserError, require_dir, run
from lumbar.files import write_bytes
from lumbar.images.dicom import read_slice
from lumbar.images.geometry import SlicePlane, Vector
from lumbar.phantom.patient import Patient, sample_patient
from lumbar.phantom.render import render_series
from lumbar.phantom.tissue import Contrast

PANEL: Final = 158
"""Side of a panel, pixels."""

SEED: Final = 3
"""Of the patient and of the scanner: chosen for a level without scoliosis in the middle of the picture."""

Picture = NDArray[Any]


class Slice(NamedTuple):
    """A slice and where it lies."""

    pixels: NDArray[np.float32]
    plane: SlicePlane


def panel(image: Slice, centre: Vector, side: float, title: str) -> Picture:
    """Cut a square out of a slice, windowed by the slice's 0.5 % and 99.5 % quantiles, its title in a bar above.

    Parameters
    ----------
    image : Slice
        The slice.
    centre : ndarray, shape (3,)
        Middle of the square, patient mm.
    side : float
        Its side, mm.
    title : str
        Text.
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
    middle = patient.level_point("l3_l4", None)
    assert middle is not None  # never without an x
    return SlicePlane.from_tags((x, middle[1] - 136, middle[2] + 128), (0, 1, 0, 0, 0, -1), (0.9, 0.9))


def axial(patient: Patient, level: str, above: float = 0.0) -> SlicePlane:
    """Lay a plane of 180 x 180 mm parallel to a disc, some mm above it."""
    normal = patient.disc_normal(level)
    right = np.array([1.0, 0, 0]) - normal[0] * normal
    right /= np.linalg.norm(right)
    back = np.cross(normal, right)
    origin = patient.canal_centre(level) + above * normal - 90 * right - 105 * back
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
    middle, foramen = patient.canal_centre("l3_l4"), patient.foramen_centre("l3_l4", "left")
    mid_plane, lateral = sagittal(patient, float(middle[0])), sagittal(patient, float(foramen[0]))
    disc, pedicle = axial(patient, "l4_l5"), axial(patient, "l4_l5", 19.0)
    centre = patient.canal_centre("l4_l5")
    return [
        panel(image(patient, mid_plane, "T1"), middle, 200, "Sagittal T1"),
        panel(image(patient, lateral, "T1"), foramen, 200, "Sagittal T1, foramina"),
        panel(image(patient, mid_plane, "T2"), middle, 200, "Sagittal T2"),
        panel(image(patient, mid_plane, "STIR"), middle, 200, "Sagittal STIR"),
        panel(image(patient, disc, "T2"), centre, 120, "Axial T2, disc"),
        panel(image(patient, pedicle, "T2"), centre, 120, "Axial T2, pedicles"),
    ]


def in_middle(patient: Patient) -> tuple[SlicePlane, Vector]:
    """Lay a sagittal plane through the canal at L4/L5; also its middle there."""
    centre = patient.canal_centre("l4_l5")
    return sagittal(patient, float(centre[0])), centre


def through_foramen(patient: Patient) -> tuple[SlicePlane, Vector]:
    """Lay a sagittal plane through the left foramen at L4/L5; also its middle."""
    centre = patient.foramen_centre("l4_l5", "left")
    return sagittal(patient, float(centre[0])), centre


def through_disc(patient: Patient) -> tuple[SlicePlane, Vector]:
    """Lay an axial plane through the disc L4/L5; also the canal's middle there."""
    return axial(patient, "l4_l5"), patient.canal_centre("l4_l5")


Lay = Callable[[Patient], tuple[SlicePlane, Vector]]


def grades(condition: str, contrast: Contrast, lay: Lay, side: float, name: str) -> list[Picture]:
    """Draw L4/L5 in the three grades of one condition, on a plane that `lay` puts, `side` mm of it."""
    result = []
    for grade, word in enumerate(("normal", "moderate", "severe")):
        patient = patient_with(**{f"{condition}_l4_l5": grade})
        plane, centre = lay(patient)
        result.append(panel(image(patient, plane, contrast), centre, side, f"{name}, {word}"))
    return result


def real(data: Path) -> list[Picture]:
    """Cut the same panels out of the first study that has all three series types."""
    require_dir(data, "a folder laid out as the competition's download", "Give another one with --real.")
    series = tables.read_table(data, tables.TRAIN_SERIES)
    labels = tables.read_table(data, tables.LABEL_COORDINATES)
    full = series.groupby("study_id")["series_description"].nunique()
    if not (full == 3).any():
        raise UserError(f"{data}: no study has all of {SAGITTAL_T1}, {SAGITTAL_T2} and {AXIAL_T2}")
    study = full.index[full == 3][-1]
    of_type = series[series["study_id"] == study].set_index("series_description")["series_id"]
    stacks = {kind: read_series(data, study, of_type[kind]) for kind in (SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2)}
    points = labels[labels["level"].map(LEVEL_BY_LABEL).isin(["l3_l4", "l4_l5"])]
    canal, canal_slice = point(points, of_type[SAGITTAL_T2], stacks[SAGITTAL_T2], "l3_l4")
    foramen, foramen_slice = point(points, of_type[SAGITTAL_T1], stacks[SAGITTAL_T1], "l3_l4")
    lower, _ = point(points, of_type[SAGITTAL_T2], stacks[SAGITTAL_T2], "l4_l5")

    def nearest(kind: str, place: Vector) -> Slice:
        return min(stacks[kind].values(), key=lambda item: abs(float(item.plane.distance(place))))

    above = lower + 19 * np.array([0.0, 0.0, 1.0])
    return [
        panel(nearest(SAGITTAL_T1, canal), canal, 200, "Sagittal T1"),
        panel(foramen_slice, foramen, 200, "Sagittal T1, foramina"),
        panel(canal_slice, canal, 200, "Sagittal T2/STIR"),
        np.full_like(panel(canal_slice, canal, 200, ""), 255),
        panel(nearest(AXIAL_T2, lower), lower, 120, "Axial T2, disc"),
        panel(nearest(AXIAL_T2, above), above, 120, "Axial T2, pedicles"),
    ]


def read_series(data: Path, study: int, series: int) -> dict[int, Slice]:
    """Read a series: slices by instance number."""
    result = {}
    for path in (data / "train_images" / str(study) / str(series)).glob("*.dcm"):
        found = read_slice(path)
        plane = SlicePlane.from_tags(
            found.tags["ImagePositionPatient"], found.tags["ImageOrientationPatient"], found.tags["PixelSpacing"]
        )
        result[int(path.stem)] = Slice(found.pixels.astype(np.float32), plane)
    return result


def point(labels: pd.DataFrame, series: int, stack: dict[int, Slice], level: str) -> tuple[Vector, Slice]:
    """Find the last human point of a series at a level: patient mm, and its slice."""
    rows = labels[(labels["series_id"] == series) & (labels["level"].map(LEVEL_BY_LABEL) == level)]
    if rows.empty:
        raise UserError(f"series {series} has no point at {level} in {tables.LABEL_COORDINATES.path}")
    row = rows.iloc[-1]
    found = stack[int(row["instance_number"])]
    return found.plane.to_patient((row["x"], row["y"])), found


def main(argv: Sequence[str] | None = None) -> int:
    """Draw and save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, metavar="DIR", help="put slices of a real study beside the phantom's")
    parser.add_argument("--out", type=Path, help="default: docs/images/phantom.png; with --real: phantom_and_real.png")
    args = parser.parse_args(argv)
    rows = [sequences()]
    if args.real:
        rows.append(real(args.real))
    canal, foramen, recess = "spinal_canal_stenosis", "left_neural_foraminal_narrowing", "left_subarticular_stenosis"
    rows.append(grades(canal, "T2", in_middle, 80, "Canal") + grades(canal, "T2", through_disc, 60, "Canal, axial"))
    rows.append(grades(foramen, "T1", through_foramen, 70, "Left foramen"))
    rows[-1] += grades(recess, "T2", through_disc, 60, "Left recess")
    out = args.out or Path("phantom_and_real.png" if args.real else "docs/images/phantom.png")
    sheet = np.vstack([np.hstack(row) for row in rows])
    done, content = cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise UserError(f"{out}: the picture cannot be encoded as PNG")
    write_bytes(out, content.tobytes())
    print(f"{out}: drawn, {len(content) // 1000} kB")
    return 0


if __name__ == "__main__":
    run(main)
