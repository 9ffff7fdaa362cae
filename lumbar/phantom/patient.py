"""One patient: the 25 grades in millimetres, the exact points of interest, and what surrounds them along the spine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from lumbar.anatomy import LEVELS
from lumbar.labels.sagittal_labels import UPPER_SHARE
from lumbar.phantom.sampling import (
    SAC_FRONT,
    SHAPE_BETWEEN_DISCS,
    Build,
    sample_build,
    sample_discs,
    sample_spine,
    sample_vertebrae,
)
from lumbar.phantom.spine import Spine, Table, along, nodes
from lumbar.phantom.vertebra import LABELS, Disc, Vertebra

Point = NDArray[np.float64]

STRUCTURES: Final = ("canal", "left_foramen", "right_foramen", "left_recess", "right_recess")
"""Where each of `lumbar.anatomy.CONDITIONS` shows."""

SIGNS: Final = (1.0, -1.0)
"""Sign of u to the patient's left and right."""

FORAMEN_RISE: Final = 6.5
"""Height of a foramen's middle above the disc's, mm: the root leaves below the upper pedicle."""

FORAMEN_V: Final = 5.0
"""Middle of a foramen behind the posterior wall, mm."""

RECESS_V: Final = 4.2
"""Middle of a lateral recess behind the posterior wall, mm."""

CANAL_DEPTH: Final = 18.0
"""Antero-posterior diameter of the bony canal, mm: Eisenstein (J Bone Joint Surg Br 1977) finds 15-20."""

BACK_Z: Final = (-260, 260)
"""Range of patient z over which the back's surface is tabulated, every mm."""

SKIN_AND_FASCIA: Final = 3.0
"""Thickness of skin and fascia together, mm."""


@dataclass(frozen=True, eq=False)
class Patient:
    """The anatomy of one patient. Patient coordinates are DICOM LPS, mm; L3 lies near the origin.

    Tables along the spine hold their values at `lumbar.phantom.spine.nodes`.
    """

    spine: Spine
    vertebrae: tuple[Vertebra, ...]  # T8 to S5
    discs: tuple[Disc, ...]  # below each vertebra but the last
    build: Build  # everything around the spine

    def bone(self, label: str) -> Vertebra:
        """Find a vertebra by its name."""
        return self.vertebrae[LABELS.index(label)]

    def at_level(self, level: str) -> tuple[Vertebra, Disc, Vertebra]:
        """Find the vertebra above one of the five levels, the disc, and the vertebra below."""
        at = LABELS.index("L1") + LEVELS.index(level)
        return self.vertebrae[at], self.discs[at], self.vertebrae[at + 1]

    def vertebra_corners(self, label: str, x: float) -> Point | None:
        """Corners of a vertebral body where a sagittal plane at patient x (mm) cuts it.

        Returns
        -------
        ndarray, shape (4, 3), or None
            Posterior-top, posterior-bottom, anterior-bottom, anterior-top, mm; None where the plane misses the body.
        """
        bone = self.bone(label)
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

    def level_point(self, level: str) -> Point:
        """Stage-1 point of a level in the spine's mid-line, patient mm, shape (3,).

        0.7 x the upper vertebra's posterior-bottom + 0.3 x the lower one's posterior-top corner.
        """
        above, disc, below = self.at_level(level)
        x = float(self.spine.midline(disc.s))
        upper, lower = (self.vertebra_corners(bone.label, x) for bone in (above, below))
        assert upper is not None and lower is not None  # every body reaches the mid-line
        return UPPER_SHARE * upper[1] + (1 - UPPER_SHARE) * lower[0]

    def centres(self, level: str) -> dict[str, Point]:
        """Middles of the dural sac at a disc, its foramina and lateral recesses: by structure, patient mm."""
        above, disc, below = self.at_level(level)
        places = [(disc.s, 0.0, float(np.interp(disc.s, nodes(), self.sac["middle"])))]
        places += [(disc.s + FORAMEN_RISE, sign * above.pedicle_u, FORAMEN_V) for sign in SIGNS]
        places += [(disc.s, sign * below.recess_u, RECESS_V) for sign in SIGNS]
        return {name: self.spine.to_patient(*place) for name, place in zip(STRUCTURES, places, strict=True)}

    def disc_normal(self, level: str) -> Point:
        """Give the unit vector perpendicular to a disc, towards the head, patient axes, shape (3,)."""
        upper, _, lower = self.at_level(level)
        points = []
        for u, share in ((0.0, 0.0), (0.0, 1.0), (-10.0, 0.5), (10.0, 0.5)):
            v = -share * lower.depth
            above, below = upper.s - upper.half_height(v), lower.s + lower.half_height(v)
            points.append(self.spine.to_patient(0.5 * (above + below), u, v))
        normal = np.cross(points[3] - points[2], points[0] - points[1])
        return normal / np.linalg.norm(normal) * (1.0 if normal[2] > 0 else -1.0)

    @property
    def sac_end(self) -> float:
        """Where the dural sac ends (s): within S2."""
        return self.bone("S2").s - 4.0

    @cached_property
    def sac(self) -> dict[str, Table]:
        """The dural sac along the spine: ``half_width``, ``half_depth`` and ``middle`` (its v), mm.

        At each disc it has exactly the disc's own area and shape, between discs the patient's own.
        """
        places: list[float] = []
        sizes: list[tuple[float, float, float]] = []
        widest = float(np.sqrt(self.build.sac_area / (np.pi * SHAPE_BETWEEN_DISCS)))
        for bone, disc in zip(self.vertebrae, self.discs, strict=False):
            between = widest * {"S1": 0.62, "S2": 0.4}.get(bone.label, 0.12 if bone.sacral else 1.0)
            front = SAC_FRONT + 0.35 * max(0.0, between - disc.sac_half_depth)
            places += [bone.s + 0.25 * bone.height, bone.s - 0.25 * bone.height, disc.s + 2, disc.s - 2]
            sizes += [(SHAPE_BETWEEN_DISCS * between, between, SAC_FRONT + between)] * 2
            sizes += [(disc.sac_half_width, disc.sac_half_depth, front + disc.sac_half_depth)] * 2
        columns = zip(("half_width", "half_depth", "middle"), zip(*sizes, strict=True), strict=True)
        return {name: along(places, values, local=True) for name, values in columns}

    @cached_property
    def canal(self) -> dict[str, Table]:
        """The bony canal: ``half_width`` and ``half_depth``, mm; ``ligament``, 1 at a disc, 0 far from it."""
        s = [bone.s for bone in self.vertebrae]
        sacral = iter((0.7, 0.6, 0.5, 0.4, 0.3))
        depth = [0.5 * CANAL_DEPTH * (next(sacral) if bone.sacral else 1.0) for bone in self.vertebrae]
        discs = [disc.s for bone, disc in zip(self.vertebrae, self.discs, strict=False) if not bone.sacral]
        near = np.sum([np.exp(-(((nodes() - middle) / 8.0) ** 2)) for middle in discs], axis=0)
        return {
            "half_width": along(s, [0.5 * bone.canal_width for bone in self.vertebrae]),
            "half_depth": along(s, depth),
            "ligament": near.astype(np.float32),
        }

    @cached_property
    def muscle(self) -> dict[str, Table]:
        """What surrounds the spine along it.

        ``psoas_u``, ``psoas_v``, ``psoas_radius`` and ``body_depth``, mm; ``fat``, the fat in the back's muscles
        relative to the patient's own average (it grows towards the sacrum: Kalichman et al., Eur Spine J 2010).
        """
        psoas = {
            "T12": (20.0, -10.0, 0.1), "L1": (26.0, -9.0, 7.0), "L2": (31.0, -9.0, 12.0), "L3": (37.0, -11.0, 16.5),
            "L4": (43.0, -15.0, 19.5), "L5": (49.0, -27.0, 19.0), "S1": (54.0, -45.0, 17.0), "S2": (58.0, -60.0, 15.0),
        }  # fmt: skip
        u, v, radius = zip(*psoas.values(), strict=True)
        fat = {"T10": 0.5, "L1": 0.65, "L3": 0.9, "L4": 1.15, "L5": 1.5, "S1": 1.8, "S3": 1.9}

        def table(labels: Sequence[str], values: Sequence[float]) -> Table:
            return along([self.bone(label).s for label in labels], values)

        return {
            "psoas_u": table(list(psoas), u),
            "psoas_v": table(list(psoas), v),
            "psoas_radius": table(list(psoas), [self.build.muscle_size * value for value in radius]),
            "body_depth": table(LABELS, [bone.depth for bone in self.vertebrae]),
            "fat": table(list(fat), list(fat.values())),
        }

    @cached_property
    def back(self) -> dict[str, Table]:
        """The back's surface in the mid-line, over the tips of the spinous processes.

        Patient y of the muscles' ``fascia`` and of the ``skin`` at every mm of z from `BACK_Z`. The fat under the skin
        nearly doubles below the sacrum's top.
        """
        s = np.arange(-240.0, 250.0)
        tips = [(self.bone("S4").s, 14.0), (self.bone("S1").s, 26.0)]
        tips += [(bone.s, 22 + bone.spinous) for bone in reversed(self.vertebrae) if not bone.sacral]
        places, lengths = np.array(tips).T
        points = self.spine.to_patient(s, 0.0, np.interp(s, places, lengths))
        order = np.argsort(points[:, 2])
        z = np.arange(*BACK_Z, dtype=np.float64)
        bony = np.interp(z, points[order, 2], points[order, 1])
        fascia = np.maximum(gaussian_filter1d(bony, 30.0, mode="nearest"), bony) + 4.0
        fascia = gaussian_filter1d(fascia, 8.0, mode="nearest")
        seat = 1 / (1 + np.exp((z - points[np.searchsorted(s, self.bone("S1").s), 2] + 15) / 12))
        skin = fascia + self.build.back_fat * (1 + 0.9 * seat) + SKIN_AND_FASCIA
        return {"fascia": fascia.astype(np.float32), "skin": skin.astype(np.float32)}


def sample_patient(rng: np.random.Generator, grades: Mapping[str, int]) -> Patient:
    """Draw a patient with given grades: 0, 1 or 2 for each of the 25 `lumbar.anatomy.TARGETS`.

    The same draws are made whatever the grades are.
    """
    size = float(np.clip(rng.normal(1, 0.05), 0.88, 1.12))
    bones = sample_vertebrae(rng, size)
    spine = sample_spine(rng, bones)
    build = sample_build(rng, bones, size)
    return Patient(spine, bones, sample_discs(rng, bones, grades, build.sac_area), build)
