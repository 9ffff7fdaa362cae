"""Tissues and how bright each is in each contrast: relaxation times and the spin-echo equation.

Brightness is computed, not chosen, so that the order of tissues is right in every contrast.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Contrast = Literal["T1", "T2", "STIR"]
Signal = NDArray[np.float32]


class Tissue(NamedTuple):
    """What a voxel of one tissue is, at 1.5 T.

    ``density``: protons relative to water, as far as they are seen (moving blood and solid bone are not); ``t1``,
    ``t2``: relaxation times in ms; ``fat``: share of the protons that are fat's (they are shifted along the
    frequency-encoding axis, and the echo trains of today's sequences let fat decay slowly).
    """

    density: float
    t1: float
    t2: float
    fat: float = 0.0


TISSUES: Final[dict[str, Tissue]] = {
    "air": Tissue(0.0, 1000, 50),
    "gas": Tissue(0.01, 1000, 50),
    "skin": Tissue(0.7, 700, 35),
    "fat": Tissue(0.95, 270, 150, 1.0),
    "marrow": Tissue(0.75, 530, 72, 0.5),
    "cortical": Tissue(0.06, 900, 12),
    "ligament": Tissue(0.4, 900, 22),
    "annulus": Tissue(0.7, 850, 36),
    "nucleus": Tissue(0.78, 1050, 115),
    "nucleus_dry": Tissue(0.68, 880, 44),
    "csf": Tissue(1.0, 3900, 1600),
    "cord": Tissue(0.82, 745, 76),
    "root": Tissue(0.8, 850, 70),
    "ganglion": Tissue(0.82, 900, 80),
    "muscle": Tissue(0.74, 980, 45),
    "blood": Tissue(0.09, 1400, 120),
    "slow_blood": Tissue(0.32, 1400, 120),
    "vein": Tissue(0.7, 1300, 150),
    "wall": Tissue(0.6, 900, 40),
    "bowel": Tissue(0.75, 1000, 85),
    "kidney": Tissue(0.85, 1050, 87),
    "liver": Tissue(0.75, 586, 46),
    "cartilage": Tissue(0.7, 1000, 42),
    "joint_fluid": Tissue(0.9, 2500, 400),
}
"""Sources, 1.5 T: muscle, spinal cord, nerve, blood, liver, kidney, cartilage: Stanisz et al. (Magn Reson Med 2005);
liver, kidney, paravertebral muscle, marrow of L4 (T1 549, T2 49), fat (T1 343, T2 58): de Bazelaire et al. (Radiology
2004); fat (T1 about 290, T2 165 at a long echo train) and joint fluid: Gold et al. (AJR 2004); discs by hydration:
Marinelli et al. (Spine 2009), Watanabe et al. (AJR 2007). Fat and marrow carry a longer T2 than a single echo
measures, because refocusing trains suppress J-coupling (Henkelman et al., J Magn Reson Imaging 1992). Densities of
bone, ligament and blood say what is seen of them: solid or flowing protons give no echo."""


class Sequence(NamedTuple):
    """Times of a (turbo) spin-echo sequence, ms; ``inversion`` 0: no inversion pulse."""

    repetition: float
    echo: float
    inversion: float = 0.0


SEQUENCES: Final[dict[Contrast, Sequence]] = {
    "T1": Sequence(560.0, 11.0),
    "T2": Sequence(3600.0, 100.0),
    "STIR": Sequence(4200.0, 46.0, 172.0),
}
"""Usual lumbar protocols at 1.5 T; the inversion time nulls fat (0.69 of its T1, less what the finite TR leaves)."""


def brightness(tissue: Tissue, contrast: Contrast) -> float:
    """Magnitude of a tissue's signal, 0 to 1, by the spin-echo equation.

    ``density * |1 - 2 exp(-TI / T1) + exp(-TR / T1)| * exp(-TE / T2)`` after an inversion, without one
    ``density * (1 - exp(-TR / T1)) * exp(-TE / T2)``.
    """
    sequence = SEQUENCES[contrast]
    recovered = 1 - np.exp(-sequence.repetition / tissue.t1)
    if sequence.inversion:
        recovered = abs(1 - 2 * np.exp(-sequence.inversion / tissue.t1) + np.exp(-sequence.repetition / tissue.t1))
    return float(tissue.density * recovered * np.exp(-sequence.echo / tissue.t2))


def signals(contrast: Contrast, split_fat: bool) -> dict[str, Signal]:
    """Brightness of every tissue in one channel of a picture, or split into water's and fat's signal in two.

    Returns
    -------
    dict of str to ndarray of float32, shape (channels, 1, 1, 1)
    """
    result = {}
    for name, tissue in TISSUES.items():
        total = brightness(tissue, contrast)
        parts = [total * (1 - tissue.fat), total * tissue.fat] if split_fat else [total]
        result[name] = np.array(parts, dtype=np.float32).reshape(-1, 1, 1, 1)
    return result
