"""Vertebra outlines as SpineNet would detect them, with its kinds of error.

The published labels show what to expect: corners a little off, lateral slices absent, the outer vertebrae sometimes
not found, and on 5 % of the series every vertebra named one too high or too low.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from lumbar.anatomy import VERTEBRAE
from lumbar.files import write_bytes
from lumbar.phantom.marks import Study
from lumbar.phantom.plan import SeriesPlan
from lumbar.tables import VERTEBRA_OUTLINES

SHIFTED_SHARE: Final = 0.05
"""Share of series whose vertebrae are all named one too high or too low (191 of 3,903 real ones)."""

ABSENT_SHARE: Final = 0.02
"""Share of series without detections."""

CORNER_NOISE_MM, BODY_NOISE_MM = 0.7, 0.5
"""Standard deviation per axis of a corner, and of a whole body in all its slices."""

NOT_FOUND: Final = {"T11": 0.15, "S2": 0.4}
"""How often an outer vertebra is not found."""

Fault = int | None
"""0: as it should be; -1 or +1: every vertebra named one too high or too low; None: no detections at all."""


def draw_faults(count: int, rng: np.random.Generator) -> list[Fault]:
    """Deal the faults to `count` series in their shares (rounded), in random order."""
    shifted, absent = round(SHIFTED_SHARE * count), round(ABSENT_SHARE * count)
    faults: list[Fault] = [(-1, 1)[i % 2] for i in range(shifted)] + [None] * absent
    faults += [0] * (count - len(faults))
    return [faults[i] for i in rng.permutation(count)]


def detect(study: Study, series: SeriesPlan, shift: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Outline the vertebrae of a sagittal series.

    Parameters
    ----------
    study : Study
        The study.
    series : SeriesPlan
        One of its sagittal series.
    shift : int
        0, or -1 / +1 to name every vertebra one too high / too low.
    rng : Generator
        Source of the errors.

    Returns
    -------
    list of dict
        Per vertebra, from below: ``predicted_label``, ``slice_nos`` (positions in the order of instance numbers, from
        0), ``polys`` (per slice the corners in whole pixels: posterior-top, posterior-bottom, anterior-bottom,
        anterior-top). Plain lists, floats and strings only.
    """
    found = []
    for position, vertebra in reversed(list(enumerate(VERTEBRAE))):
        missed = rng.random() < NOT_FOUND.get(vertebra, 0.0)
        drift, trimmed = rng.normal(0, BODY_NOISE_MM, 2), rng.integers(0, 4, 2) // 3  # at times an end slice is missed
        slice_nos, polys = [], []
        for index, (planned, outlines) in enumerate(zip(series.slices, study.outlines[series.series_id], strict=True)):
            corners = outlines.get(vertebra)
            error = drift + rng.normal(0, CORNER_NOISE_MM, (4, 2))
            if corners is None or not all(planned.contains(corner) for corner in corners):
                continue
            slice_nos.append(index)
            polys.append(np.round(corners + error / planned.plane.col_spacing).tolist())
        kept = slice(trimmed[0], len(slice_nos) - trimmed[1])
        name = position + shift
        if not missed and slice_nos[kept] and 0 <= name < len(VERTEBRAE):
            found.append({"predicted_label": VERTEBRAE[name], "slice_nos": slice_nos[kept], "polys": polys[kept]})
    return found


def write_outlines(data: Path, series_id: int, found: Sequence[dict[str, Any]]) -> Path:
    """Write one series' detections where part 1 of the sagittal labels would (ordinary pickle, same bytes always)."""
    path = data / VERTEBRA_OUTLINES.format(series_id=series_id)
    write_bytes(path, pickle.dumps(list(found), protocol=4))
    return path
