"""How canal, sac, muscles and the back's surface change along the spine: tables at `lumbar.phantom.spine.nodes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from lumbar.phantom.sampling import SAC_FRONT, SAC_SHAPE
from lumbar.phantom.spine import Spine, Table, along, nodes
from lumbar.phantom.vertebra import Disc, Vertebra

CANAL_DEPTH: Final = 18.0
"""Antero-posterior diameter of the bony canal, mm: Eisenstein (J Bone Joint Surg Br 1977) finds 15-20."""

BACK_Z: Final = (-260, 260)
"""Range of patient z over which the back's surface is tabulated, every mm."""

SKIN_AND_FASCIA: Final = 3.0
"""Thickness of skin and fascia together, mm."""


def sac(bones: Sequence[Vertebra], discs: Sequence[Disc], area: float) -> dict[str, Table]:
    """Tabulate the dural sac.

    At each disc it has exactly the disc's own area and shape, between discs the patient's own.

    Parameters
    ----------
    bones, discs : sequence
        All vertebrae, and the disc below each but the last.
    area : float
        Cross-section between discs, mm².

    Returns
    -------
    dict of str to ndarray of float32
        ``half_width``, ``half_depth`` and ``middle`` (its v), mm.
    """
    s: list[float] = []
    depth: list[float] = []
    width: list[float] = []
    middle: list[float] = []
    free = float(np.sqrt(area / (np.pi * SAC_SHAPE)))
    for bone, disc in zip(bones, discs, strict=False):
        taper = {"S1": 0.62, "S2": 0.4}.get(bone.label, 0.12 if bone.sacral else 1.0)
        s += [bone.s + 0.25 * bone.height, bone.s - 0.25 * bone.height, disc.s + 2, disc.s - 2]
        at_disc = disc.sac_half_depth
        depth += [free * taper] * 2 + [at_disc] * 2
        width += [SAC_SHAPE * free * taper] * 2 + [disc.sac_half_width] * 2
        front = SAC_FRONT + 0.35 * max(0.0, free * taper - at_disc)
        middle += [SAC_FRONT + free * taper] * 2 + [front + at_disc] * 2
    tables = {"half_depth": depth, "half_width": width, "middle": middle}
    return {name: along(s, values, local=True) for name, values in tables.items()}


def sac_end(bones: Sequence[Vertebra]) -> float:
    """Give the place (s) where the dural sac ends: within S2."""
    return next(bone.s for bone in bones if bone.label == "S2") - 4.0


def canal(bones: Sequence[Vertebra], discs: Sequence[Disc]) -> dict[str, Table]:
    """Tabulate the bony canal: ``half_width`` and ``half_depth``, mm; ``ligament``, 1 at a disc, 0 far from it."""
    s = [bone.s for bone in bones]
    sacral = iter((0.7, 0.6, 0.5, 0.4, 0.3))
    depth = [0.5 * CANAL_DEPTH * (next(sacral) if bone.sacral else 1.0) for bone in bones]
    middles = [disc.s for bone, disc in zip(bones, discs, strict=False) if not bone.sacral]
    near = np.sum([np.exp(-(((nodes() - middle) / 8.0) ** 2)) for middle in middles], axis=0)
    return {
        "half_width": along(s, [0.5 * bone.canal_width for bone in bones]),
        "half_depth": along(s, depth),
        "ligament": near.astype(np.float32),
    }


def muscle(bones: Sequence[Vertebra], size: float) -> dict[str, Table]:
    """Tabulate what surrounds the spine.

    Returns
    -------
    dict of str to ndarray of float32
        ``psoas_u``, ``psoas_v``, ``psoas_radius`` and ``body_depth``, mm; ``fat``, the fat in the back's muscles
        relative to the patient's own average (it grows towards the sacrum: Kalichman et al., Eur Spine J 2010).
    """
    at = {bone.label: bone.s for bone in bones}
    psoas = {
        "T12": (20.0, -10.0, 0.1), "L1": (26.0, -9.0, 7.0), "L2": (31.0, -9.0, 12.0), "L3": (37.0, -11.0, 16.5),
        "L4": (43.0, -15.0, 19.5), "L5": (49.0, -27.0, 19.0), "S1": (54.0, -45.0, 17.0), "S2": (58.0, -60.0, 15.0),
    }  # fmt: skip
    places = [at[label] for label in psoas]
    u, v, radius = zip(*psoas.values(), strict=True)
    fat = {"T10": 0.5, "L1": 0.65, "L3": 0.9, "L4": 1.15, "L5": 1.5, "S1": 1.8, "S3": 1.9}
    return {
        "psoas_u": along(places, u),
        "psoas_v": along(places, v),
        "psoas_radius": along(places, [size * value for value in radius]),
        "body_depth": along(list(at.values()), [bone.depth for bone in bones]),
        "fat": along([at[label] for label in fat], list(fat.values())),
    }


def back(spine: Spine, bones: Sequence[Vertebra], fat: float) -> dict[str, Table]:
    """Tabulate the back's surface in the mid-line, over the tips of the spinous processes.

    Parameters
    ----------
    spine : Spine
        The curve.
    bones : sequence of Vertebra
        All vertebrae.
    fat : float
        Thickness of the fat under the skin, mm; it nearly doubles below the sacrum's top.

    Returns
    -------
    dict of str to ndarray of float32
        Patient y of the muscles' ``fascia`` and of the ``skin`` at every mm of z from `BACK_Z`.
    """
    at = {bone.label: bone.s for bone in bones}
    s = np.arange(-240.0, 250.0)
    tips = [(at["S4"], 14.0), (at["S1"], 26.0)]
    tips += [(bone.s, 22 + bone.spinous) for bone in reversed(bones) if not bone.sacral]
    places, lengths = np.array(tips).T
    points = spine.to_patient(s, 0.0, np.interp(s, places, lengths))
    order = np.argsort(points[:, 2])
    z = np.arange(*BACK_Z, dtype=np.float64)
    bony = np.interp(z, points[order, 2], points[order, 1])
    fascia = np.maximum(gaussian_filter1d(bony, 30.0, mode="nearest"), bony) + 4.0
    fascia = gaussian_filter1d(fascia, 8.0, mode="nearest")
    seat = 1 / (1 + np.exp((z - points[np.searchsorted(s, at["S1"]), 2] + 15) / 12))
    skin = fascia + fat * (1 + 0.9 * seat) + SKIN_AND_FASCIA
    return {"fascia": fascia.astype(np.float32), "skin": skin.astype(np.float32)}
