"""One patient: sizes drawn at random, the 25 grades turned into millimetres, and the exact points of interest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import LEVELS, TARGETS, VERTEBRAE
from lumbar.phantom import profiles
from lumbar.phantom.sampling import Build, sample_build, sample_discs, sample_spine, sample_vertebrae
from lumbar.phantom.spine import Spine, Table, nodes
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
        """Give the unit vector perpendicular to a disc, towards the head, patient axes, shape (3,)."""
        at = self._level_index(level)
        upper, lower = self.vertebrae[at], self.vertebrae[at + 1]
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
        """Size and place of the dural sac along the spine: `profiles.sac`."""
        return profiles.sac(self.vertebrae, self.discs, self.build.sac_area)

    @cached_property
    def canal(self) -> dict[str, Table]:
        """Size of the bony canal along the spine: `profiles.canal`."""
        return profiles.canal(self.vertebrae, self.discs)

    @cached_property
    def muscle(self) -> dict[str, Table]:
        """What surrounds the spine along it: `profiles.muscle`."""
        return profiles.muscle(self.vertebrae, self.build.muscle_size)

    @cached_property
    def back(self) -> dict[str, Table]:
        """The back's surface: `profiles.back`."""
        return profiles.back(self.spine, self.vertebrae, self.build.back_fat)


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
