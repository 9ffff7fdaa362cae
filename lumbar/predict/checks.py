"""What a reader must be told about a study: what fell back to what and why, and where the networks seem unsure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import (
    AXIAL_T2,
    LEVEL_LABELS,
    LEVELS,
    NFN,
    PARTS,
    SAGITTAL_T1,
    SAGITTAL_T2,
    SCS,
    SERIES_TYPES,
    SS,
    TARGETS,
)
from lumbar.config import Config
from lumbar.images.geometry import to_patient
from lumbar.images.slices import SliceIndex
from lumbar.predict.locating import Located
from lumbar.predict.record import MODELS, NEIGHBOUR, OTHER_SERIES, SHARES, AxialView
from lumbar.predict.study_grades import TARGET_PARTS

Floats = NDArray[np.float64]

TITLES: Final = {SCS: "Canal stenosis", NFN: "Foraminal narrowing", SS: "Subarticular stenosis"}

STAND_INS: Final = {
    SHARES: "class shares, nothing better is known",
    NEIGHBOUR: "taken from the nearest level",
    OTHER_SERIES: "read on axial slices alone",
}
"""What stands in, by source."""

SPACING: Final = (15.0, 60.0)
"""Least and greatest distance between neighbouring discs that is believed, mm. In adults it is 25 to 45."""

SERIES_DISAGREEMENT: Final = 10.0
"""Two sagittal series whose level points differ by more disagree, mm: a third of a level."""

NETWORK_DISAGREEMENT: Final = 5.0
"""Networks whose level points scatter by more disagree, mm (standard deviation)."""

UNSURE: Final = 0.5
"""A grade is unsure if no probability reaches this."""


def thresholds(configs: Iterable[Config]) -> dict[str, list[float]]:
    """List, per condition group, how sure the sagittal localiser must be of a series for each classifier to use it."""
    found: dict[str, list[float]] = defaultdict(list)
    for cfg in configs:
        for part, limit in ((NFN, cfg.filter_logits_mask_thresh_sag_t1), (SCS, cfg.filter_logits_mask_thresh_sag_t2)):
            if part in cfg.parts:
                found[part].append(limit)
    return found


class Checker:
    """Writes the warnings of studies.

    Parameters
    ----------
    series, meta : DataFrame
        Usable series and slices of some studies.
    located : Located
        Where their levels are.
    limits : mapping of str to list of float
        What `thresholds` gives.
    """

    def __init__(
        self, series: pd.DataFrame, meta: pd.DataFrame, located: Located, limits: Mapping[str, list[float]]
    ) -> None:
        self.series, self.located, self.limits = series, located, limits
        self.slices = SliceIndex(meta)
        self.best = located.sagittal.groupby("series_id")["logits_mask"].max().to_dict()

    def warnings(
        self, study_id: int, source: Sequence[str], probabilities: Floats, axial: Sequence[AxialView]
    ) -> list[str]:
        """List what to say about a study.

        Parameters
        ----------
        study_id : int
            The study.
        source : sequence of str, length 25
            Where each target's probabilities come from.
        probabilities : ndarray, shape (25, 3)
            The answer.
        axial : sequence of AxialView
            The levels that are on axial slices.
        """
        series = self.series[self.series["study_id"] == study_id]
        by_kind = {
            kind: series.loc[series["series_description"] == kind, "series_id"].tolist() for kind in SERIES_TYPES
        }
        lines = [*self._geometry(by_kind), *shared_slices(axial)]
        for part, kind in zip(PARTS, SERIES_TYPES, strict=True):
            own_cause, axial_cause = self._cause(part, by_kind), self._axial_cause(by_kind, axial)
            lines += fallbacks(part, source, own_cause if part != SS else axial_cause, axial_cause)
            if part in (NFN, SCS):
                lines += [line for series_id in by_kind[kind] for line in self._localisation(part, kind, series_id)]
        sagittal = [series_id for kind in SERIES_TYPES if kind != AXIAL_T2 for series_id in by_kind[kind]]
        return [*lines, *self._disagreements(sagittal), *unsure_grades(source, probabilities)]

    def _geometry(self, by_kind: Mapping[str, Sequence[int]]) -> Iterator[str]:
        """Say which series cannot be placed in the patient, for want of which tags."""
        for kind, numbers in by_kind.items():
            for series_id in numbers:
                rows = self.slices.rows_of(series_id)
                lacking = [
                    name
                    for name, values in (
                        ("ImagePositionPatient", self.slices.position),
                        ("ImageOrientationPatient", self.slices.orientation),
                        ("PixelSpacing", self.slices.spacing),
                    )
                    if np.isnan(values[rows]).any(axis=1).all()
                ]
                if len(rows) and lacking:
                    yield f"series {series_id} ({kind}): no slice has a usable {' or '.join(lacking)} (absent or zero)"

    def _cause(self, part: str, by_kind: Mapping[str, Sequence[int]]) -> str:
        """Say why a sagittal condition group could not be read on its own series."""
        kind = SERIES_TYPES[PARTS.index(part)]
        return f"the levels were not surely found on the {kind} series" if by_kind[kind] else f"no usable {kind} series"

    def _axial_cause(self, by_kind: Mapping[str, Sequence[int]], axial: Sequence[AxialView]) -> str:
        """Say why levels could not be read on axial slices."""
        if not by_kind[AXIAL_T2]:
            return f"no usable {AXIAL_T2} series"
        if not by_kind[SAGITTAL_T1] and not by_kind[SAGITTAL_T2]:
            return "no sagittal series that tells which axial slice shows which level"
        if not axial:
            return "no axial slice was found to show a level"
        shown = {view.level for view in axial}
        missing = [label for label, level in zip(LEVEL_LABELS, LEVELS, strict=True) if level not in shown]
        return f"no axial slice for {', '.join(missing)}" if missing else ""

    def _localisation(self, part: str, kind: str, series_id: int) -> Iterator[str]:
        """Say what seems wrong with the level points of a sagittal series."""
        best, name = self.best.get(series_id, float("nan")), f"series {series_id} ({kind})"
        limits = self.limits.get(part, [-np.inf])
        if not best > max(limits):
            used = "not used by all classifiers" if best > min(limits) else "not used"
            yield (
                f"{name}: the localiser is not sure that it shows the lumbar spine "
                f"({best:.2f}, more than {max(limits):g} is needed); {used}"
            )
        points = self.points(series_id)
        if points is None:
            return
        step = np.diff(points, axis=0)
        length = np.linalg.norm(step, axis=1)
        if np.isfinite(length).all() and (step[:, 2] >= 0).any():
            yield f"{name}: the levels found do not follow one another from head to feet"
        elif (length < SPACING[0]).any() or (length > SPACING[1]).any():
            yield f"{name}: the levels found are {length.min():.0f} to {length.max():.0f} mm apart, which no spine is"
        scatter = self._scatter(series_id)
        if scatter > NETWORK_DISAGREEMENT:
            yield f"{name}: the networks disagree on the levels by {scatter:.0f} mm"

    def points(self, series_id: int) -> Floats | None:
        """Level points of a series' canal slice, patient mm, shape (5, 3); None where nothing was located."""
        shown = self.located.canal.get(series_id)
        if shown is None:
            return None
        row, slices = self.slices.find(series_id, shown.instance), self.slices
        return to_patient(shown.points, slices.position[row], slices.orientation[row], slices.spacing[row])

    def _scatter(self, series_id: int) -> float:
        """By how much the networks disagree on the levels of a series' canal slice, mm; 0 where unknown."""
        key = series_id, self.located.canal[series_id].instance
        row = int(self.slices.find(*key))
        size = self.slices.size[row] * self.slices.spacing[row, ::-1]
        scatter = self.located.spread.get(key, np.zeros((1, 2))) * size
        return float(np.nan_to_num(np.linalg.norm(scatter, axis=1).mean()))

    def _disagreements(self, series_ids: Sequence[int]) -> Iterator[str]:
        """Say which sagittal series of a study disagree on where the levels are."""
        located = [(series_id, self.points(series_id)) for series_id in series_ids]
        known = [(series_id, points) for series_id, points in located if points is not None]
        for (first, points), (second, others) in pairwise(known):
            # Within the plane: the two canal slices need not lie at the same x.
            apart = float(np.linalg.norm((points - others)[:, 1:], axis=1).mean())
            if apart > SERIES_DISAGREEMENT:
                yield f"series {first} and {second} disagree on the levels by {apart:.0f} mm"


def fallbacks(part: str, source: Sequence[str], own_cause: str, axial_cause: str) -> Iterator[str]:
    """Say what stands in for a condition group's own reading, at which levels, and why.

    `own_cause` and `axial_cause` say why its own series could not be read, and why axial slices could not.
    """
    for stand_in, text in STAND_INS.items():
        levels = sorted(
            {n % len(LEVELS) for n, each in enumerate(source) if TARGET_PARTS[n] == part and each == stand_in}
        )
        causes = [own_cause] if stand_in == OTHER_SERIES else list(dict.fromkeys([own_cause, axial_cause]))
        if levels:
            at = "all levels" if len(levels) == len(LEVELS) else ", ".join(LEVEL_LABELS[level] for level in levels)
            why = "; ".join(filter(None, causes))
            yield f"{TITLES[part]}, {at}: {text}{why and f' ({why})'}"


def shared_slices(axial: Sequence[AxialView]) -> Iterator[str]:
    """Say which levels are read on one and the same axial slice, which no spine allows."""
    levels: dict[tuple[int, int], list[str]] = defaultdict(list)
    for view in axial:
        levels[view.series_id, view.instance_number].append(LEVEL_LABELS[LEVELS.index(view.level)])
    for (series_id, instance), names in levels.items():
        if len(names) > 1:
            yield f"{', '.join(names)}: share the axial slice {instance} of series {series_id}"


def unsure_grades(source: Sequence[str], probabilities: Floats) -> Iterator[str]:
    """Count the grades that were read but in which no probability reaches `UNSURE`."""
    read = np.array([each == MODELS for each in source])
    count = int((read & (probabilities.max(axis=1) < UNSURE)).sum())
    if count:
        yield f"{count} of {len(TARGETS)} grades are unsure: none of their probabilities reaches {UNSURE:.0%}"
