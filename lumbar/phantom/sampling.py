"""Random draws behind a patient. Every draw is made whatever the grades are.

So two patients from one random state differ only where their grades do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from lumbar.anatomy import CONDITIONS, LEVELS
from lumbar.phantom.severity import FORAMEN_HEIGHT, FORAMEN_WIDTH, RECESS_HEIGHT, SAC_AREA, SAC_SHAPE, within
from lumbar.phantom.spine import Spine, along, nodes
from lumbar.phantom.vertebra import LABELS, MEANS, Disc, Vertebra

SAC_FRONT: Final = 1.6
"""Ligament, fat and veins between posterior wall and dural sac, mm."""

SHAPE_BETWEEN_DISCS: Final = 1.35
"""Width over antero-posterior diameter of the sac away from the discs."""


@dataclass(frozen=True, eq=False)
class Build:
    """The trunk around the spine; lengths in mm."""

    half_width: float  # half the trunk's width
    front_y: float  # patient y of the belly's skin
    back_fat: float  # thickness of the fat under the skin
    front_fat: float
    muscle_fat: float  # share of fat in the back's muscles, 0 to 1
    muscle_size: float  # size of psoas and back muscles, 1 on average
    conus_s: float  # where the cord ends: the lower third of L1 on average, Saifuddin et al. (Spine 1998)
    sac_area: float  # cross-section of the dural sac away from the discs, mm²
    vessel_size: float  # size of aorta and vena cava, 1 on average
    texture: NDArray[np.int64]  # offset into the shared texture volumes, voxels, shape (3,)


def sample_vertebrae(rng: np.random.Generator, size: float) -> tuple[Vertebra, ...]:
    """Draw all vertebrae of a patient of a given size (1 on average) and stack them, the middle of L3 at s = 0."""
    bones: list[Vertebra] = []
    s = 0.0
    gap = rng.normal(1, 0.1)
    for label, mean in MEANS.items():
        sacral = label.startswith("S")
        height, depth, width = mean.height, mean.depth, mean.width
        jitter = rng.normal(1, 0.025, 5).tolist()  # plain numbers keep arrays in float32
        spinous, droop, fatness = rng.normal((1, 0.22, 1), (0.1, 0.06, 0.06)).tolist()
        crushed = 0.2 * rng.random() * (rng.random() < 0.04) * (not sacral)
        wedge = (0.05 if label == "L5" else 0.015) + 0.01 * rng.standard_normal() - 0.5 * crushed
        hollow, back_hollow, waist = rng.uniform((1.2, 0.4, 0.05), (2.8, 1.3, 0.1)).tolist()
        height *= size * jitter[0]
        s -= 0.5 * height
        bones.append(
            Vertebra(
                label, s, height, depth * size * jitter[1], width * size * jitter[2], wedge, 0.4 if sacral else hollow,
                back_hollow, waist, mean.pedicle_width * size * jitter[3], mean.canal_width * jitter[4],
                mean.spinous * size * spinous, droop + 0.65 * (label in ("T8", "T9", "T10", "T11")), fatness,
            )
        )  # fmt: skip
        s -= 0.5 * height + mean.disc * size * (1.0 if sacral else gap * rng.normal(1, 0.12))
    middle = bones[LABELS.index("L3")].s
    return tuple(replace(bone, s=bone.s - middle) for bone in bones)


def sample_spine(rng: np.random.Generator, bones: Sequence[Vertebra]) -> Spine:
    """Draw the curve through the vertebrae: lordosis, scoliosis, and now and then a forward slip."""
    s = np.array([bone.s for bone in bones])
    lean = np.array([mean.lean for mean in MEANS.values()])
    lean = lean * np.clip(rng.normal(1, 0.16), 0.65, 1.35) + rng.normal(0, 3.5) + rng.normal(0, 1.0, len(lean))
    angle = CubicSpline(s[::-1], np.radians(lean)[::-1])(np.clip(nodes(), s[-1], s[0]))  # constant outside
    amplitude = np.clip(rng.normal(0, 2.5) * (2.5 if rng.random() < 0.15 else 1.0), -9, 9)
    phase, length = rng.uniform(0, 2 * np.pi), rng.uniform(220, 340)
    shift = amplitude * np.sin(2 * np.pi * nodes() / length + phase)
    shift -= np.interp(0.0, nodes(), shift)
    forward = rng.uniform(2.0, 6.0) * (rng.random() < 0.08)
    slipped = rng.choice([LABELS.index("L4"), LABELS.index("L5")], p=[0.6, 0.4])
    edge = bones[slipped].s - 0.5 * bones[slipped].height  # what stands above the disc has gone forward
    slip = -forward / (1 + np.exp(-np.clip((nodes() - edge + 5.0) / 1.5, -60, 60)))
    slip = slip * along([edge, edge + 80], [1, 0])  # and the spine above leans back to its line
    origin = np.array([rng.normal(0, 4), rng.normal(14, 8), rng.normal(0, 9)])
    return Spine(origin, angle, shift, slip.astype(np.float64))


def sample_build(rng: np.random.Generator, bones: Sequence[Vertebra], size: float) -> Build:
    """Draw the trunk."""
    fat = rng.gamma(4.0, 4.5)  # mm, mean 18
    return Build(
        half_width=165 * size + 1.5 * fat + rng.normal(0, 8),
        front_y=-85 - 1.6 * fat + rng.normal(0, 10),
        back_fat=4 + 0.7 * fat * rng.uniform(0.6, 1.4),
        front_fat=6 + fat * rng.uniform(0.6, 1.4),
        muscle_fat=float(np.clip(rng.beta(2, 4), 0.05, 0.8)),
        muscle_size=size * rng.normal(1, 0.1),
        conus_s=bones[LABELS.index("L1")].s + rng.normal(-6, 11),
        sac_area=float(np.clip(rng.normal(190, 18), 160, 235)),
        vessel_size=size * rng.normal(1, 0.08),
        texture=rng.integers(0, 64, 3),
    )


def sample_discs(
    rng: np.random.Generator, bones: Sequence[Vertebra], grades: Mapping[str, int], sac_area: float
) -> tuple[Disc, ...]:
    """Draw the disc below each vertebra but the last, and put the grades' millimetres at the five graded ones.

    The grades are those of the 25 targets, `sac_area` is the cross-section of the sac away from the discs, mm².
    """
    first = LABELS.index("L1")
    depth = math.sqrt(sac_area / (math.pi * SHAPE_BETWEEN_DISCS))  # half the sac's, away from the discs
    discs = []
    wear = rng.beta(2.0, 2.2)
    for number, (upper, lower) in enumerate(itertools.pairwise(bones)):
        level = LEVELS[number - first] if 0 <= number - first < len(LEVELS) else None
        area, shape, disc_wear, bulge = rng.random(4).tolist()
        widths, heights, recesses = rng.random((3, 2)).tolist()
        canal, left, right, *recess = (grades[f"{name}_{level}"] if level else 0 for name in CONDITIONS)
        foramen = (left, right)
        top, bottom = lower.s + 0.5 * lower.height, upper.s - 0.5 * upper.height
        disc = Disc(
            level, 0.5 * (top + bottom), bottom - top, 0.0, 0.5 * wear + 0.5 * disc_wear,
            within(SAC_AREA, canal, area), within(SAC_SHAPE, canal, shape),
            tuple(within(FORAMEN_WIDTH, *each) for each in zip(foramen, widths, strict=True)),
            tuple(within(FORAMEN_HEIGHT, *each) for each in zip(foramen, heights, strict=True)),
            tuple(within(RECESS_HEIGHT, *each) for each in zip(recess, recesses, strict=True)),
        )  # fmt: skip
        if level is None:
            disc = replace(disc, sac_area=sac_area * (0.97 if upper.s > 0 else 0.3), sac_shape=SHAPE_BETWEEN_DISCS)
        push = 0.35 * max(0.0, depth - disc.sac_half_depth)
        discs.append(replace(disc, bulge=push + (0.1 + 0.6 * bulge) * SAC_FRONT * (lower.label != "S2")))
    return tuple(discs)
