"""Size and shape of each vertebra and of each disc with what lies behind it, in straight coordinates (`spine`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Mean(NamedTuple):
    """Mean dimensions of a vertebra and of the disc below it, mm, and its lean, degrees (see `MEANS`)."""

    height: float
    depth: float
    width: float
    pedicle_width: float
    canal_width: float
    disc: float
    spinous: float
    lean: float


MEANS: Final[dict[str, Mean]] = {
    "T8": Mean(19.0, 26.5, 30.0, 5.5, 18.0, 3.5, 30.0, 0.0),
    "T9": Mean(20.0, 27.5, 31.0, 6.0, 18.0, 3.8, 28.0, 4.0),
    "T10": Mean(21.5, 28.5, 33.0, 6.5, 18.0, 4.2, 26.0, 8.0),
    "T11": Mean(23.3, 29.5, 36.0, 7.5, 19.0, 4.6, 24.0, 11.0),
    "T12": Mean(25.0, 30.5, 39.0, 7.5, 21.5, 5.4, 24.0, 13.0),
    "L1": Mean(26.5, 31.5, 42.0, 8.0, 22.5, 6.6, 26.0, 12.5),
    "L2": Mean(27.5, 32.5, 44.0, 8.5, 23.0, 7.6, 27.0, 9.0),
    "L3": Mean(28.0, 33.5, 46.5, 10.0, 23.5, 8.4, 28.0, 2.5),
    "L4": Mean(28.0, 34.0, 49.0, 12.5, 24.5, 9.0, 24.0, -7.0),
    "L5": Mean(27.0, 34.0, 51.5, 16.0, 27.5, 8.4, 17.0, -20.0),
    "S1": Mean(29.0, 30.0, 50.0, 22.0, 30.0, 3.0, 7.0, -38.0),
    "S2": Mean(24.0, 19.0, 36.0, 20.0, 24.0, 1.2, 4.0, -45.0),
    "S3": Mean(20.0, 13.0, 28.0, 18.0, 18.0, 1.0, 4.0, -38.0),
    "S4": Mean(17.0, 10.0, 24.0, 16.0, 14.0, 1.0, 4.0, -22.0),
    "S5": Mean(14.0, 8.0, 20.0, 14.0, 12.0, 1.0, 4.0, 0.0),
}
"""Body height, depth and width, pedicle width, distance between the pedicles, height of the disc below at
its rim, length of the spinous process behind the lamina; lean.

Bodies: Berry et al. (Spine 1987), Panjabi et al. (Spine 1992), Zhou et al. (Eur Spine J 2000); pedicles: Zindrick et
al. (Spine 1987); canal: Eisenstein (J Bone Joint Surg Br 1977); discs: Zhou et al. 2000, Roberts et al. (J Magn Reson
Imaging 1997). The leans make a lumbar lordosis (L1-S1) of about 55 degrees and a sacral slope of about 40: Vialle et
al. (J Bone Joint Surg Am 2005).
"""


LABELS: Final = tuple(MEANS)
"""T8 to S5: all vertebrae, from the head down."""


@dataclass(frozen=True)
class Vertebra:
    """One vertebra; lengths in mm."""

    label: str  # one of `LABELS`
    s: float  # its middle along the spine
    height: float  # of the body, as the next two, at its rims
    depth: float
    width: float
    wedge: float  # how much taller the body is in front, mm per mm of depth (negative: a crushed front)
    hollow: float  # depth of the concavity of each end-plate
    back_hollow: float  # depth of the concavity of the posterior wall
    waist: float  # share by which the body is slimmer at half its height
    pedicle_width: float
    canal_width: float  # distance between the two pedicles
    spinous: float  # length of the spinous process behind the lamina
    droop: float  # how far the spinous process points down, mm per mm
    fatness: float  # brightness of its marrow relative to the average

    @property
    def sacral(self) -> bool:
        """Whether it is part of the sacrum."""
        return self.label.startswith("S")

    @property
    def middle(self) -> float:
        """V of the body's middle."""
        return -0.5 * self.depth

    @property
    def pedicle_s(self) -> float:
        """S of the pedicles' middle: they leave the upper half of the body."""
        return self.s + 0.2 * self.height

    @property
    def pedicle_u(self) -> float:
        """Distance of the pedicles' middle, and of the foramina below them, from the mid-line."""
        return 0.5 * (self.canal_width + self.pedicle_width)

    @property
    def recess_u(self) -> float:
        """Distance of the lateral recesses at the disc above from the mid-line."""
        return 0.5 * self.canal_width - 1.5

    @property
    def pedicle_height(self) -> float:
        """Height of a pedicle: 14-16 mm in all lumbar vertebrae (Zindrick et al. 1987)."""
        return 0.56 * self.height

    def hollow_back(self, u: ArrayLike) -> NDArray[np.floating]:
        """Depth of the posterior wall's concavity at u (mm), mm."""
        return self.back_hollow * np.maximum(0.0, 1.0 - np.square(np.asarray(u) / (0.3 * self.width)))

    def wall(self, u: float, front: bool) -> float:
        """V of the body's rim at u (mm), in front or behind; the back is boxier (a superellipse of power 4)."""
        share = 2 * u / self.width
        if front:
            return self.middle - 0.5 * self.depth * float(np.sqrt(max(0.0, 1 - share**2)))
        return self.middle + 0.5 * self.depth * max(0.0, 1 - share**4) ** 0.25 - float(self.hollow_back(u))

    def half_height(self, v: ArrayLike) -> NDArray[np.floating]:
        """Half the body's height at v (mm), end-plates' concavity not counted, mm."""
        return 0.5 * self.height + self.wedge * (self.middle - np.asarray(v))


@dataclass(frozen=True)
class Disc:
    """The disc below a vertebra, and the canal, foramina and recesses at its height; lengths in mm."""

    level: str | None  # one of the five graded levels
    s: float  # its middle along the spine
    height: float  # at its middle
    bulge: float  # how far it stands out behind the posterior walls
    dryness: float  # 0 for a nucleus full of water, 1 for a black disc
    sac_area: float  # cross-section of the dural sac, mm²
    sac_shape: float  # width over antero-posterior diameter of the sac
    foramen_width: tuple[float, ...]  # left, right; so are the next two
    foramen_height: tuple[float, ...]
    recess_height: tuple[float, ...]

    @property
    def sac_half_depth(self) -> float:
        """Half the antero-posterior diameter of the sac."""
        return float(np.sqrt(self.sac_area / (np.pi * self.sac_shape)))

    @property
    def sac_half_width(self) -> float:
        """Half the width of the sac."""
        return self.sac_half_depth * self.sac_shape
