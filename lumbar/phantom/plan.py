"""How a technologist lays the three series of a study over the patient.

A `SeriesPlan` holds every slice plane of a series before anything is rendered. Sizes, spacings, slice counts and
tilts vary as in the real data (sagittal 320 to 760 pixels, 0.3-0.9 mm, slices 4-5 mm apart).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydicom.uid import ExplicitVRLittleEndian

from lumbar.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2
from lumbar.images.geometry import SlicePlane, Vector
from lumbar.phantom.patient import Patient
from lumbar.phantom.tissue import Contrast

Size = Literal["small", "full"]

LEFT, POSTERIOR, HEAD = np.eye(3)
"""Axes of patient coordinates (DICOM LPS)."""

MATRICES: Final[dict[Size, tuple[int, ...]]] = {
    "small": (208, 224, 240, 256),
    "full": (512, 512, 512, 512, 320, 320, 384, 384, 448, 448, 640, 760),
}
"""Image sizes in pixels; a size stands as often as its share in the real data asks."""

STIR_SHARE, STRAIGHT_SHARE, OBLONG_SHARE = 0.25, 0.4, 0.2
"""Shares of studies with STIR in place of T2, with one axial stack through all discs, with fewer columns than rows."""

REACH: Final = 0.75
"""A point belongs to a series if its nearest slice is at most this many slice spacings away."""


@dataclass(frozen=True)
class PlannedSlice:
    """One slice: where it lies, its size (rows, columns) in pixels, its instance number."""

    plane: SlicePlane
    shape: tuple[int, int]
    instance_number: int = 0
    header_number: int | None = None  # InstanceNumber in the header, where it is another
    scout: bool = False  # lies in another plane than its series

    def contains(self, xy: ArrayLike) -> bool:
        """Say whether a pixel position lies within the image."""
        x, y = np.asarray(xy, dtype=np.float64)
        return bool(0 <= x <= self.shape[1] - 1 and 0 <= y <= self.shape[0] - 1)


@dataclass(frozen=True)
class Encoding:
    """How the pixels and the window of a series are stored."""

    transfer_syntax: str = ExplicitVRLittleEndian  # a compressed one must be lossless
    signed: bool = False  # 16-bit pixels below 0, with an intercept that says so
    inverted: bool = False  # MONOCHROME1: the greatest value is black
    slope: float | None = None  # RescaleSlope; None leaves the rescale tags out (unless signed)
    window: tuple[float, float] = (0.5, 1.0)  # centre and width, share of the series' brightest pixels
    windows: int = 1  # number of values in WindowCenter and WindowWidth
    absent: tuple[str, ...] = ()  # tags that are left out
    one_file: bool = False  # an enhanced multi-frame file for the whole series


@dataclass(frozen=True)
class SeriesPlan:
    """One series."""

    kind: str  # one of `lumbar.anatomy.SERIES_TYPES`
    contrast: Contrast
    slices: tuple[PlannedSlice, ...]  # in the order of files, which instance numbers follow; a scout comes last
    thickness: float  # of a slice, mm
    spacing: float  # between slices, mm
    encoding: Encoding = field(default_factory=Encoding)
    series_id: int = 0  # Kaggle's number; 0 until given

    @property
    def stack(self) -> tuple[PlannedSlice, ...]:
        """The slices but for a scout."""
        return tuple(each for each in self.slices if not each.scout)

    @property
    def files(self) -> list[str]:
        """Names of the files, in the order of the slices; one for all where it holds them all."""
        numbers = [1] if self.encoding.one_file else [each.instance_number for each in self.slices]
        return [f"{number}.dcm" for number in numbers]

    def nearest(self, point: ArrayLike) -> tuple[int, float]:
        """Find the slice of the stack nearest to a point (mm): its index and its distance in mm."""
        origins, normals = self._planes
        distances = np.abs(((np.asarray(point) - origins) * normals).sum(axis=-1))
        index = int(np.argmin(distances))
        return index, float(distances[index])

    @cached_property
    def _planes(self) -> tuple[Vector, Vector]:
        """Origins and normals of the stack's slices, each of shape (slices, 3)."""
        planes = [each.plane for each in self.stack]
        return np.array([plane.origin for plane in planes]), np.array([plane.normal for plane in planes])

    def find(self, point: ArrayLike) -> PlannedSlice | None:
        """Find the slice nearest to a point (mm), or None if the point lies outside the series' field."""
        index, distance = self.nearest(point)
        found = self.slices[index]
        inside = distance <= REACH * self.spacing and found.contains(found.plane.to_pixels(point))
        return found if inside else None


@dataclass(frozen=True, eq=False)
class Study:
    """One study of the phantom: the patient, and the series as planned."""

    study_id: int
    patient: Patient
    series: tuple[SeriesPlan, ...]  # in the order of their numbers
    table_offset: Vector  # what headers and truth.csv (scanner coordinates) add to patient coordinates, mm, shape (3,)

    @property
    def sagittal(self) -> list[SeriesPlan]:
        """The sagittal series."""
        return [series for series in self.series if series.kind != AXIAL_T2]


@dataclass(frozen=True)
class Scene:
    """What the technologist knows: the patient, the levels that the axial slices shall cover, the image sizes."""

    patient: Patient
    levels: tuple[str, ...] = LEVELS
    size: Size = "small"


def numbered(slices: Iterable[PlannedSlice], first: int = 1) -> tuple[PlannedSlice, ...]:
    """Give slices instance numbers in their order."""
    return tuple(replace(each, instance_number=number) for number, each in enumerate(slices, first))


def plan_series(scene: Scene, rng: np.random.Generator) -> list[SeriesPlan]:
    """Plan a study's three series: sagittal T1, sagittal T2 or STIR mostly on the same planes, axial T2."""
    first = plan_sagittal(scene, rng)
    contrast: Contrast = "STIR" if rng.random() < STIR_SHARE else "T2"
    other = first if rng.random() < 0.8 else plan_sagittal(scene, rng)
    return [first, replace(other, kind=SAGITTAL_T2, contrast=contrast), plan_axial(scene, rng)]


def plan_sagittal(scene: Scene, rng: np.random.Generator) -> SeriesPlan:
    """Plan a sagittal T1 series over all foramina, T12 to S1 in its field, from either side."""
    patient = scene.patient
    centres = [patient.centres(level) for level in LEVELS]
    foramina = [each[f"{side}_foramen"][0] for each in centres for side in ("left", "right")]
    ends = [patient.vertebra_corners(name, float(patient.level_point(level)[0]))
            for name, level in (("T12", LEVELS[0]), ("L3", LEVELS[2]), ("S1", LEVELS[-1]))]  # fmt: skip
    spine = np.concatenate([corners for corners in ends if corners is not None])
    low, high = spine.min(axis=0), spine.max(axis=0)
    right, left = min(foramina), max(foramina)
    centre = np.array([(left + right) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2])
    centre += rng.uniform((-3, -15, -5), (3, 15, 5))
    spacing = float(rng.choice((4.0, 4.4, 4.5, 4.8, 5.0)))
    thickness = min(spacing, float(rng.choice((4.0, 4.0, 4.5))))
    count = int(np.clip(np.ceil((left - right + rng.uniform(22, 38)) / spacing) + 1, 15, 20))
    field_of_view = max(250.0, high[2] - low[2] + rng.uniform(20, 50))
    shape = _shape(scene.size, rng)
    normal = -LEFT + rng.normal(0, 0.03, 3)
    planes = parallel_planes(centre, normal, POSTERIOR, field_of_view, shape, spacing * _centred(count))
    if rng.random() < 0.6:  # most scanners count from the patient's right
        planes.reverse()
    return SeriesPlan(SAGITTAL_T1, "T1", numbered(PlannedSlice(plane, shape) for plane in planes), thickness, spacing)


def plan_axial(scene: Scene, rng: np.random.Generator) -> SeriesPlan:
    """Plan an axial T2 series: one stack through all discs, or a block along each disc; from above or from below."""
    spacing = float(rng.choice((4.0, 4.0, 4.4, 4.5, 5.0)))
    thickness = min(spacing, float(rng.choice((3.5, 4.0, 4.0))))
    shape, field_of_view = _shape(scene.size, rng), rng.uniform(180, 235)
    place, tilt = rng.normal((0, -8, 0), (4, 8, 0)), rng.normal(0, 0.025, 3)
    straight = rng.random() < STRAIGHT_SHARE
    steepness = rng.uniform(0.5, 1) if not straight or rng.random() < 0.5 else 0.0  # 0 horizontal, 1 along the discs
    planes: list[SlicePlane] = []
    for levels in [scene.levels] if straight else [(level,) for level in reversed(scene.levels)]:
        discs = np.mean([scene.patient.disc_normal(level) for level in levels], axis=0)
        normal = steepness * discs + (1 - steepness) * HEAD + tilt
        normal /= np.linalg.norm(normal)
        heights = np.array([scene.patient.level_point(level) for level in levels]) @ normal
        low, high = heights.min() - rng.uniform(8, 12), heights.max() + rng.uniform(8, 12)
        centre = np.mean([scene.patient.centres(level)["canal"] for level in levels], axis=0) + place
        centre += ((low + high) / 2 - centre @ normal) * normal
        offsets = spacing * _centred(round((high - low) / spacing) + 1)
        planes += parallel_planes(centre, normal, LEFT + 0.5 * tilt, field_of_view, shape, offsets)
    if rng.random() < 0.75:  # most scanners count from the head
        planes.reverse()
    return SeriesPlan(AXIAL_T2, "T2", numbered(PlannedSlice(plane, shape) for plane in planes), thickness, spacing)


def _centred(count: int) -> Vector:
    return np.arange(count, dtype=np.float64) - (count - 1) / 2


def _shape(size: Size, rng: np.random.Generator) -> tuple[int, int]:
    """Draw rows and columns."""
    rows = int(rng.choice(MATRICES[size]))
    columns = 16 * round(rows * rng.uniform(0.75, 0.95) / 16) if rng.random() < OBLONG_SHARE else rows
    return rows, columns


def parallel_planes(
    centre: Vector,
    normal: Vector,
    row_hint: Vector,
    field_of_view: float,
    shape: tuple[int, int],
    offsets: Vector,
) -> list[SlicePlane]:
    """Make planes centred on a point, at `offsets` mm along the normal, rows along the hint.

    Numbers are rounded as the DICOM header will hold them, so that plane and header agree exactly.
    """
    normal = normal / np.linalg.norm(normal)
    row_dir = row_hint - (row_hint @ normal) * normal
    row_dir /= np.linalg.norm(row_dir)
    col_dir = np.cross(normal, row_dir)
    pixel = round(float(field_of_view) / shape[0], 4)
    corner = centre - pixel * ((shape[1] - 1) / 2 * row_dir + (shape[0] - 1) / 2 * col_dir)
    return [
        SlicePlane(np.round(corner + offset * normal, 4), np.round(row_dir, 6), np.round(col_dir, 6), pixel, pixel)
        for offset in offsets
    ]
