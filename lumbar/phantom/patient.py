"""One patient: sizes drawn at random, the 25 grades turned into millimetres, and the exact points of interest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from lumbar.anatomy import LEVELS, TARGETS, VERTEBRAE
from lumbar.phantom.sampling import (
    SAC_FRONT,
    SAC_SHAPE,
    Build,
    sample_build,
    sample_discs,
    sample_spine,
    sample_vertebrae,
)
from lumbar.phantom.spine import Spine, Table, along, nodes
from lumbar.phantom.vertebra import MEANS, Disc, Vertebra

Point = NDArray[np.float64]
Side = Literal["left", "right"]

SIDES: Final = ("left", "right")
SIGN: Final = {"left": 1.0, "right": -1.0}

FIRST_LEVEL: Final = list(MEANS).index("L1")
"""Index of the disc below L1 among all discs."""

FORAMEN_RISE: Final = 6.5
"""Height of a foramen's middle above the disc's, mm: the root leaves below the upper pedicle."""

FORAMEN_V: Final = 5.0
"""Middle of a foramen behind the posterior wall, mm."""

BACK_Z: Final = (-260, 260)
"""Range of z over which the back's surface is tabulated, mm."""

SKIN_AND_FASCIA: Final = 3.0
"""Thickness of skin and fascia together, mm."""

CANAL_DEPTH: Final = 18.0
"""Antero-posterior diameter of the bony canal, mm: Eisenstein (J Bone Joint Surg Br 1977) finds 15-20."""

RECESS_V: Final = 4.2
"""Middle of a lateral recess behind the posterior wall, mm."""

@dataclass(frozen=True, eq=False)
class Patient:
    """The anatomy of one patient. Patient coordinates are DICOM LPS, mm; L3 lies near the origin.

    Parameters
    ----------
    spine : Spine
        The curve.
    vertebrae : tuple of Vertebra
        T8 to S5.
    discs : tuple of Disc
        The disc below each vertebra but the last.
    build : Build
        Everything around the spine.
    """

    spine: Spine
    vertebrae: tuple[Vertebra, ...]
    discs: tuple[Disc, ...]
    build: Build

    def _vertebra(self, label: str) -> Vertebra:
        if label not in VERTEBRAE:
            raise ValueError(f"label must be one of {', '.join(VERTEBRAE)}, got {label!r}")
        return self.vertebrae[list(MEANS).index(label)]

    def _level_index(self, level: str) -> int:
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
        return FIRST_LEVEL + LEVELS.index(level)

    def _side_index(self, side: str) -> int:
        if side not in SIDES:
            raise ValueError(f"side must be 'left' or 'right', got {side!r}")
        return SIDES.index(side)

    def vertebra_corners(self, label: str, x: float) -> Point | None:
        """Corners of a vertebral body where a sagittal plane cuts it.

        Parameters
        ----------
        label : str
            One of `lumbar.anatomy.VERTEBRAE`.
        x : float
            Patient x of the plane, mm.

        Returns
        -------
        ndarray, shape (4, 3), or None
            Posterior-top, posterior-bottom, anterior-bottom, anterior-top, mm; None where the plane misses the body.
        """
        bone = self._vertebra(label)
        corners = []
        for front, up in ((False, 1.0), (False, -1.0), (True, -1.0), (True, 1.0)):
            s = bone.s
            for _ in range(6):  # the mid-line's shift, hence u, depends on s
                u = x - float(self.spine.midline(s))
                if abs(u) > 0.48 * bone.width:
                    return None
                v = bone.wall(u, front)
                s = bone.s + up * float(bone.half_height(v))
            corners.append(self.spine.to_patient(s, u, v))
        return np.array(corners)

    def level_point(self, level: str, x: float | None = None) -> Point | None:
        """Stage-1 point of a level: 0.7 x upper posterior-bottom + 0.3 x lower posterior-top corner.

        Parameters
        ----------
        level : str
            One of `lumbar.anatomy.LEVELS`.
        x : float, optional
            Patient x of the sagittal plane, mm (default: the spine's mid-line at the disc).

        Returns
        -------
        ndarray, shape (3,), or None
            mm; None where the plane misses one of the two bodies (never for the default).
        """
        at = self._level_index(level)
        if x is None:
            x = float(self.spine.midline(self.discs[at].s))
        upper, lower = (self.vertebra_corners(self.vertebrae[k].label, x) for k in (at, at + 1))
        if upper is None or lower is None:
            return None
        return 0.7 * upper[1] + 0.3 * lower[0]

    def canal_centre(self, level: str) -> Point:
        """Middle of the dural sac at a disc, patient mm, shape (3,)."""
        s = self.discs[self._level_index(level)].s
        return self.spine.to_patient(s, 0.0, np.interp(s, nodes(), self.sac["middle"]))

    def foramen_centre(self, level: str, side: Side) -> Point:
        """Middle of a neural foramen, patient mm, shape (3,).

        Parameters
        ----------
        level : str
            One of `lumbar.anatomy.LEVELS`.
        side : {"left", "right"}
            The patient's own side.
        """
        at = self._level_index(level)
        self._side_index(side)
        u = SIGN[side] * self.foramen_u(at)
        return self.spine.to_patient(self.discs[at].s + FORAMEN_RISE, u, FORAMEN_V)

    def recess_centre(self, level: str, side: Side) -> Point:
        """Middle of a lateral recess at a disc, patient mm, shape (3,); parameters as `foramen_centre`."""
        at = self._level_index(level)
        self._side_index(side)
        return self.spine.to_patient(self.discs[at].s, SIGN[side] * self.recess_u(at), RECESS_V)

    def disc_normal(self, level: str) -> Point:
        """Unit vector perpendicular to a disc, towards the head, patient axes, shape (3,)."""
        at = self._level_index(level)
        disc, upper, lower = self.discs[at], self.vertebrae[at], self.vertebrae[at + 1]
        points = []
        for u, share in ((0.0, 0.0), (0.0, 1.0), (-10.0, 0.5), (10.0, 0.5)):
            v = -share * lower.depth
            above, below = upper.s - upper.half_height(v), lower.s + lower.half_height(v)
            points.append(self.spine.to_patient(0.5 * (above + below), u, v))
        normal = np.cross(points[3] - points[2], points[0] - points[1])
        return normal / np.linalg.norm(normal) * (1.0 if normal[2] > 0 else -1.0)

    def foramen_u(self, at: int) -> float:
        """Distance of the foramina at disc `at` from the mid-line: below the middle of the upper pedicle, mm."""
        return self.vertebrae[at].pedicle_u

    def recess_u(self, at: int) -> float:
        """Distance of the lateral recesses at disc `at` from the mid-line, mm."""
        return 0.5 * self.vertebrae[at + 1].canal_width - 1.5

    @cached_property
    def sac(self) -> dict[str, Table]:
        """Tables along the spine of the dural sac: ``half_width``, ``half_depth`` and ``middle`` (v), mm.

        At each disc the sac has exactly the disc's own area and shape; between, the patient's own.
        """
        s, depth, width, middle = [], [], [], []
        free = np.sqrt(self.build.sac_area / (np.pi * SAC_SHAPE))
        for bone, disc in zip(self.vertebrae, self.discs, strict=False):
            taper = {"S1": 0.62, "S2": 0.4}.get(bone.label, 0.12 if bone.sacral else 1.0)
            s += [bone.s, disc.s + 2, disc.s, disc.s - 2]
            at_disc = disc.sac_half_depth
            depth += [free * taper, at_disc, at_disc, at_disc]
            width += [SAC_SHAPE * free * taper, *[disc.sac_half_width] * 3]
            front = SAC_FRONT + 0.35 * max(0.0, free * taper - at_disc)
            middle += [SAC_FRONT + free * taper, *[front + at_disc] * 3]
        return {"half_depth": along(s, depth), "half_width": along(s, width), "middle": along(s, middle)}

    @cached_property
    def muscle(self) -> dict[str, Table]:
        """Tables along the spine of what surrounds it, mm: ``psoas_u``, ``psoas_v`` and ``psoas_radius``;
        ``body_depth``; ``fat``, the fat in the back's muscles relative to the patient's own average."""
        s = [bone.s for bone in self.vertebrae]
        size = self.build.muscle_size
        at = dict(zip(MEANS, s, strict=True))
        psoas = {
            "T12": (20, -14, 0.1), "L1": (25, -13, 6), "L2": (31, -13, 11), "L3": (37, -14, 16), "L4": (43, -17, 19),
            "L5": (49, -27, 19), "S1": (54, -45, 17), "S2": (58, -60, 15),
        }  # fmt: skip
        places = [at[label] for label in psoas]
        u, v, radius = np.array(list(psoas.values()), dtype=np.float64).T
        fat = {"T10": 0.5, "L1": 0.65, "L3": 0.9, "L4": 1.15, "L5": 1.5, "S1": 1.8, "S3": 1.9}
        return {
            "psoas_u": along(places, u),
            "psoas_v": along(places, v),
            "psoas_radius": along(places, radius * size),
            "body_depth": along(s, [bone.depth for bone in self.vertebrae]),
            "fat": along([at[label] for label in fat], list(fat.values())),
        }

    @cached_property
    def back(self) -> dict[str, Table]:
        """Patient y at each mm of z from `BACK_Z`, mid-line: ``fascia`` over the back's muscles, ``skin``."""
        z = np.arange(*BACK_Z, dtype=np.float64)
        s = np.arange(-240.0, 250.0)
        tip = np.interp(s, [self.vertebrae[k].s for k in (13, 11, 10, 9, 8, 7, 4)], [14, 17, 26, 38, 47, 51, 48])
        points = self.spine.to_patient(s, 0.0, tip)
        order = np.argsort(points[:, 2])
        bony = np.interp(z, points[order, 2], points[order, 1])
        fascia = np.maximum(gaussian_filter1d(bony, 30.0, mode="nearest"), bony) + 4.0
        fascia = gaussian_filter1d(fascia, 8.0, mode="nearest")
        seat = 1 / (1 + np.exp((z - points[np.searchsorted(s, self.vertebrae[10].s), 2] + 15) / 12))
        skin = fascia + self.build.back_fat * (1 + 0.9 * seat) + SKIN_AND_FASCIA
        return {"fascia": fascia.astype(np.float32), "skin": skin.astype(np.float32)}

    @property
    def sac_end(self) -> float:
        """Where the dural sac ends, s: within S2."""
        return self.vertebrae[-4].s - 4.0

    @cached_property
    def canal(self) -> dict[str, Table]:
        """Tables along the spine of the bony canal: ``half_width``, ``half_depth``; ``ligament``, 1 at each disc."""
        s = [bone.s for bone in self.vertebrae]
        depth = [CANAL_DEPTH * (0.7 - 0.1 * at if bone.sacral else 1) for at, bone in enumerate(self.vertebrae, -10)]
        discs = [disc for bone, disc in zip(self.vertebrae, self.discs, strict=False) if not bone.sacral]
        near = np.sum([np.exp(-(((nodes() - disc.s) / 9.0) ** 4)) for disc in discs], axis=0)
        return {
            "half_width": along(s, [0.5 * bone.canal_width for bone in self.vertebrae]),
            "half_depth": along(s, [0.5 * value for value in depth]),
            "ligament": near.astype(np.float32),
        }




def sample_patient(rng: np.random.Generator, grades: Mapping[str, int]) -> Patient:
    """Draw a patient with given grades.

    Parameters
    ----------
    rng : Generator
        Source of randomness; the same draws are made whatever the grades are.
    grades : mapping of str to int
        0, 1 or 2 for each of the 25 `lumbar.anatomy.TARGETS`.

    Returns
    -------
    Patient

    Raises
    ------
    ValueError
        If a target is missing, or a grade is not 0, 1 or 2.
    """
    for target in TARGETS:
        if grades.get(target) not in (0, 1, 2):
            raise ValueError(f"grades[{target!r}] must be 0, 1 or 2, got {grades.get(target)!r}")
    size = float(np.clip(rng.normal(1, 0.05), 0.88, 1.12))
    bones = sample_vertebrae(rng, size)
    spine = sample_spine(rng, bones)
    build = sample_build(rng, bones, size)
    return Patient(spine, bones, sample_discs(rng, bones, grades, build.sac_area), build)
