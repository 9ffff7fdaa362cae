"""The worst cases, to be looked at: grades that cost most, points that are furthest off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lumbar.anatomy import CONDITION_PARTS, CONDITIONS, GRADES, LEVEL_LABELS, LEVELS, MISSING, SS
from lumbar.cli import UserError
from lumbar.engine.runs import Ints
from lumbar.html.page import number
from lumbar.html.pictures import Mark, Picture, Pixels, around, make_picture, read_cached_slice
from lumbar.labels.human import LEFT, PART_CONDITIONS, human_points
from lumbar.localise.point_errors import SIDES, Errors
from lumbar.report.scores import Outcome
from lumbar.tables import AXIAL_XY, LABEL_COORDINATES, META, SAGITTAL_XY, SLICE, Table, read_table

TARGETS_SHOWN, STUDIES_SHOWN, POINTS_SHOWN = 12, 10, 4
"""The report shows so many targets, studies, and slices of each localiser."""

MOST_PER_STUDY: Final = 2
"""Targets of one study among those shown, so that one hard study does not fill the page."""

REACH: Final = 45.0
"""Half side of the part of a slice that is shown around a mark, mm."""

LUMBAR_REACH: Final = 110.0
"""Half side of the part of a slice with all levels that is shown, mm."""


class WorstTarget(NamedTuple):
    """A target whose prediction cost much."""

    study_id: int
    name: str
    right: str
    predicted: tuple[float, ...]
    loss: float
    picture: Picture | None


class WorstStudy(NamedTuple):
    """A study whose predictions cost much."""

    study_id: int
    fold: int
    loss: float
    share: float
    """Share of the loss of all studies."""
    worst: str


class Slices:
    """Pictures of training slices with human marks and what the localisers found.

    Parameters
    ----------
    data : Path
        The data folder. Tables that are absent leave out what they would have given.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        meta = _read(data, META)
        self.spacing = {} if meta is None else dict(
            zip(zip(meta["series_id"], meta["instance_number"], strict=True), meta["PixelSpacing"], strict=True)
        )  # fmt: skip
        self.marks = _read_marks(data)
        self.found = {SS: _read(data, AXIAL_XY)}
        self.found |= dict.fromkeys(("nfn", "scs"), _read(data, SAGITTAL_XY))

    def spacing_of(self, series_id: int, instance: int) -> tuple[float, float]:
        """Distance between rows and between columns, mm; 1 where unknown."""
        spacing = self.spacing.get((series_id, instance))
        return spacing if isinstance(spacing, tuple) and len(spacing) == 2 else (1.0, 1.0)

    def target(self, study_id: int, target: int, alt: str, caption: str) -> Picture | None:
        """Show the slice on which a human marked a target; None where there is no mark or no slice."""
        condition, level = CONDITIONS[target // len(LEVELS)], target % len(LEVELS)
        part = CONDITION_PARTS[condition]
        side = PART_CONDITIONS[part].index(condition)
        if self.marks is None:
            return None
        rows = self.marks[(self.marks["study_id"] == study_id) & (self.marks["level"] == level)
                          & (self.marks["part"] == part) & (self.marks["side"] == side)]  # fmt: skip
        if rows.empty:
            return None
        mark = rows.iloc[0]
        series_id, instance = int(mark["series_id"]), int(mark["instance_number"])
        image = read_cached_slice(self.data, study_id, series_id, instance)
        if image is None:
            return None
        marks = [Mark(mark["x"], mark["y"], "human"), *self._found(part, side, level, series_id, instance, image)]
        caption += f"; series {series_id}, slice {instance}"
        return self._picture(image, alt, caption, marks, (mark["x"], mark["y"]), REACH, (series_id, instance))

    def _picture(
        self,
        image: Pixels,
        alt: str,
        caption: str,
        marks: Sequence[Mark],
        centre: ArrayLike,
        reach: float,
        where: tuple[int, int],
    ) -> Picture:
        """Show the part of a slice (series, instance number) up to `reach` mm around a point."""
        spacing = self.spacing_of(*where)
        region = around(centre, reach / np.array(spacing[::-1]))
        return make_picture(image, alt, caption, marks=marks, region=region, spacing=spacing)

    def _found(self, part: str, side: int, level: int, series_id: int, instance: int, image: Pixels) -> Iterator[Mark]:
        """Give the point that a localiser found for a target on a slice."""
        table = self.found[part]
        if table is None:
            return
        rows = table[(table["series_id"] == series_id) & (table["instance_number"] == instance)]
        if part == SS:
            height, width = image.shape
            name = SIDES[0] if side == LEFT else SIDES[1]
            for x, y in rows[[f"x_{name}", f"y_{name}"]].itertuples(index=False):
                yield Mark(x * width, y * height, "predicted")
        else:
            for x, y in rows.loc[rows["level"] == LEVELS[level], ["x", "y"]].itertuples(index=False):
                yield Mark(x, y, "predicted")

    def points(self, errors: Errors) -> Iterator[Picture]:
        """Show the slices of a localiser with the largest errors, one of each series."""
        cases = errors.cases.sort_values("error", ascending=False).drop_duplicates("series_id").head(POINTS_SHOWN)
        for case in cases.itertuples():
            study_id, series_id, instance = (int(getattr(case, name)) for name in ("study_id", *SLICE))
            image = read_cached_slice(self.data, study_id, series_id, instance)
            if image is None:
                continue
            points = errors.cases[(errors.cases[SLICE] == [series_id, instance]).all(axis=1)]
            names = (
                points["level"].map(dict(zip(LEVELS, LEVEL_LABELS, strict=True)))
                if "level" in points
                else points["side"]
            )
            right, found = (points[list(columns)].to_numpy(float) for columns in (("x_true", "y_true"), ("x", "y")))
            marks = [Mark(x, y, "human") for x, y in right.tolist()]
            marks += [Mark(x, y, "predicted", str(name)) for name, (x, y) in zip(names, found.tolist(), strict=True)]
            reach = LUMBAR_REACH if "level" in points else REACH
            place = f"study {study_id}, series {series_id}, slice {instance}"
            caption = f"{number(float(case.error), 1)} mm off; {place}"  # type: ignore[arg-type]
            alt = f"Slice with found and right points, {place}"
            yield self._picture(image, alt, caption, marks, right.mean(0), reach, (series_id, instance))


def _read(data: Path, table: Table) -> pd.DataFrame | None:
    try:
        return read_table(data, table)
    except UserError:
        return None


def _read_marks(data: Path) -> pd.DataFrame | None:
    """Read the human marks, with their studies; None where there are none that can be used."""
    try:
        return human_points(read_table(data, LABEL_COORDINATES))
    except UserError:
        return None


def worst_targets(outcome: Outcome, slices: Slices) -> list[WorstTarget]:
    """Choose the targets with the largest weighted log loss.

    Parameters
    ----------
    outcome : Outcome
        Predictions and labels.
    slices : Slices
        For their pictures.
    """
    losses = np.where(outcome.predicted, outcome.losses(), 0)
    order = np.argsort(-losses, axis=None, kind="stable")
    cases = pd.DataFrame(np.transpose(np.unravel_index(order, losses.shape)), columns=["row", "target"])
    cases = cases[losses.flat[order] > 0].groupby("row").head(MOST_PER_STUDY).head(TARGETS_SHOWN)
    worst: list[WorstTarget] = []
    for row, target in cases.to_numpy().tolist():
        study_id = int(outcome.study_id[row])
        probabilities = tuple(outcome.probabilities[row, target].tolist())
        name, right = target_name(target), GRADES[outcome.grades[row, target]]
        shares = " · ".join(f"{100 * share:.0f}" for share in probabilities)
        caption = f"{name}: {right}, predicted {shares} %; study {study_id}"
        picture = slices.target(study_id, target, f"{name} of study {study_id}, graded {right}", caption)
        worst.append(WorstTarget(study_id, name, right, probabilities, float(losses[row, target]), picture))
    return worst


def worst_studies(outcome: Outcome, fold_of: dict[int, int]) -> list[WorstStudy]:
    """Choose the studies with the largest weighted log loss, summed over their targets.

    Parameters
    ----------
    outcome : Outcome
        Predictions and labels.
    fold_of : dict of int to int
        Fold of each study.
    """
    losses = np.where(outcome.predicted, outcome.losses(), 0)
    total = losses.sum(1)
    order: Ints = np.argsort(-total, kind="stable")[:STUDIES_SHOWN]
    return [
        WorstStudy(
            study_id=int(outcome.study_id[row]),
            fold=fold_of[int(outcome.study_id[row])],
            loss=float(total[row]),
            share=float(total[row] / total.sum()),
            worst=target_name(int(losses[row].argmax())),
        )
        for row in order
        if total[row] > 0 and (outcome.grades[row] != MISSING).any()
    ]


def target_name(target: int) -> str:
    """Write a target as people do: ``Left neural foraminal narrowing L4/L5``."""
    condition, level = divmod(target, len(LEVELS))
    return f"{CONDITIONS[condition].replace('_', ' ').capitalize()} {LEVEL_LABELS[level]}"
