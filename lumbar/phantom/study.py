"""One study of the phantom, from its number to its files: everything here runs in a worker process.

All randomness comes from (seed, train or test, index), so a study is the same whoever makes it and in whatever order.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lumbar import tables
from lumbar.anatomy import AXIAL_T2, CONDITION_PARTS, GRADE_COLUMNS, GRADES, LEVELS, MISSING, TARGETS
from lumbar.files import write_bytes
from lumbar.phantom.dicom_writer import write_series
from lumbar.phantom.irregular import ODD_MARKS, ODDITIES
from lumbar.phantom.marks import KIND_OF_PART, Fault, coordinate_rows, detect, outline, truth_rows
from lumbar.phantom.patient import Patient, sample_patient
from lumbar.phantom.plan import Encoding, Scene, SeriesPlan, Size, Study, plan_series
from lumbar.phantom.render import render_series

UNCOVERED_SHARE: Final = 0.07
"""Share of studies whose axial slices start below a graded L1/L2 disc (the nearest real axial slice is 3 mm or more
away for 15 % of the L1/L2 discs; about half of those were not graded)."""

RESCALED_SHARE: Final = 0.18
"""Share of studies with rescale tags (26,437 of 147,218 real files have them)."""

DESCRIPTIONS: Final = {
    "T1": ("Sag T1", "SAG T1 TSE", "T1_tse_sag", "Sagittal T1"),
    "T2": ("Sag T2", "SAG T2 TSE", "T2_tse_sag", "Sagittal T2"),
    "STIR": ("Sag STIR", "SAG T2 STIR", "STIR_sag", "Sagittal STIR"),
    AXIAL_T2: ("Ax T2", "AX T2 TSE", "T2_tse_tra", "Axial T2"),
}
"""What scanners write into SeriesDescription."""

Grades = Mapping[str, int]
"""Grade, or `MISSING`, of each of the 25 targets."""


@dataclass(frozen=True)
class Task:
    """What a worker needs to make one study."""

    out: Path  # the data folder
    split: str  # train or test
    key: tuple[int, ...]  # seed of this study: the phantom's seed, the split, the index
    study_id: int  # Kaggle's number
    series_ids: tuple[int, ...]  # numbers for up to as many series
    size: Size
    grades: Grades  # what the anatomy shows, nothing missing
    labels: Grades  # what was written down
    oddity: str | None = None  # key of `lumbar.phantom.irregular.ODDITIES` or `ODD_MARKS`
    faults: tuple[Fault, ...] = (0, 0)  # SpineNet's, in the first and second sagittal series

    def rng(self, *purpose: int) -> np.random.Generator:
        """Make the random generator for one purpose."""
        return np.random.default_rng([*self.key, *purpose])


class Result(NamedTuple):
    """Table rows of one study, how many series and slices it has, how many slices were rendered now."""

    rows: dict[tables.Table, list[dict[str, Any]]]
    series: int
    slices: int
    rendered: int


def make_study(task: Task) -> Result:
    """Make one study: its DICOM files, for a training study its vertebra outlines, and its table rows.

    A series all of whose files exist is not rendered again: files are never half-written, so they are good.
    """
    study, labels = plan_study(task)
    rendered = 0
    for i, series in enumerate(study.series):
        folder = task.out / f"{task.split}_images" / str(task.study_id) / str(series.series_id)
        if not all((folder / name).is_file() for name in series.files):
            names = DESCRIPTIONS[AXIAL_T2 if series.kind == AXIAL_T2 else series.contrast]
            frames = _render(study.patient, series, task.rng(2, i))
            write_series(folder, study, series, str(task.rng(3, i).choice(names)), frames)
            rendered += len(series.slices)
    outlines = {series.series_id: outline(study.patient, series.stack) for series in study.sagittal}
    listed = [
        {"study_id": task.study_id, "series_id": each.series_id, "series_description": each.kind}
        for each in study.series
    ]
    rows: dict[tables.Table, list[dict[str, Any]]] = {
        tables.TRUTH: list(truth_rows(study, outlines)),
        tables.TRUTH_GRADES: [_grade_row(task.study_id, task.grades)],
    }
    if task.split == "train":
        for i, series in enumerate(study.sagittal):
            fault = task.faults[i] if i < len(task.faults) else 0
            if fault is not None:
                found = detect(series, outlines[series.series_id], fault, task.rng(5, i))
                path = task.out / tables.VERTEBRA_OUTLINES.format(series_id=series.series_id)
                write_bytes(path, pickle.dumps(found, protocol=4))
        rows[tables.TRAIN] = [_grade_row(task.study_id, labels)]
        rows[tables.TRAIN_SERIES] = listed
        marks = list(coordinate_rows(study, labels, task.rng(4)))
        if task.oddity in ODD_MARKS:
            marks = ODD_MARKS[task.oddity](marks, task.rng(6))
        rows[tables.LABEL_COORDINATES] = marks
    else:
        rows[tables.TEST_SERIES] = listed
        rows[tables.SAMPLE_SUBMISSION] = [  # as Kaggle's: conditions alphabetically, levels downwards, every grade 1/3
            {
                "row_id": tables.ROW_ID.format(study_id=task.study_id, target=target),
                **dict.fromkeys(GRADE_COLUMNS, 1 / 3),
            }
            for target in sorted(TARGETS)
        ]
    return Result(rows, len(study.series), sum(len(series.slices) for series in study.series), rendered)


def plan_study(task: Task) -> tuple[Study, Grades]:
    """Draw the patient and plan the series; return also the labels, missing where there is no series to grade on."""
    rng = task.rng(0)
    patient = sample_patient(task.rng(1), task.grades)
    scene = Scene(patient, _covered(task.labels, rng), task.size)
    rescaled = rng.random() < RESCALED_SHARE
    slope = float(rng.choice((1.0, 1.0, 0.5, 1.25, 2.4))) if rescaled else None
    series = []
    for planned in plan_series(scene, rng):
        width = float(rng.uniform(0.75, 1.1))  # the window is to the technologist's liking
        encoding = Encoding(slope=slope, window=(width * float(rng.uniform(0.45, 0.55)), width))
        series.append(replace(planned, encoding=encoding))
    if task.oddity in ODDITIES:
        series = ODDITIES[task.oddity](series, scene, rng)
    numbers = rng.permutation(task.series_ids)[: len(series)].tolist()
    series = [replace(each, series_id=number) for each, number in zip(series, numbers, strict=True)]
    series.sort(key=lambda each: each.series_id)
    kinds = {each.kind for each in series}
    ungradable = {condition for condition, part in CONDITION_PARTS.items() if KIND_OF_PART[part] not in kinds}
    labels = dict(task.labels) | {f"{condition}_{level}": MISSING for condition in ungradable for level in LEVELS}
    table_offset = np.round(rng.normal(0, (6, 15, 25)), 1)
    return Study(task.study_id, patient, tuple(series), table_offset), labels


def _covered(labels: Grades, rng: np.random.Generator) -> tuple[str, ...]:
    """Let the axial slices start below ungraded upper levels, and now and then below a graded L1/L2."""
    first = int(rng.random() < UNCOVERED_SHARE)
    for i, level in enumerate(LEVELS[:3]):
        if labels[f"left_subarticular_stenosis_{level}"] == MISSING:
            first = max(first, i + 1)
    return LEVELS[first:]


def _render(patient: Patient, series: SeriesPlan, rng: np.random.Generator) -> list[NDArray[np.uint16]]:
    """Render a series, one group of slices of equal size after the other."""
    frames: dict[int, NDArray[np.uint16]] = {}
    for shape in dict.fromkeys(each.shape for each in series.slices):
        group = {i: each.plane for i, each in enumerate(series.slices) if each.shape == shape}
        images = render_series(patient, list(group.values()), shape, series.thickness, series.contrast, rng)
        frames |= zip(group, images, strict=True)
    return [frames[i] for i in range(len(series.slices))]


def _grade_row(study_id: int, grades: Grades) -> dict[str, Any]:
    names = {target: GRADES[grades[target]] if grades[target] != MISSING else None for target in TARGETS}
    return {"study_id": study_id, **names}
