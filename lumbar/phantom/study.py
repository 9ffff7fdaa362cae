"""One study of the phantom, from its number to its files: everything here runs in a worker process.

All randomness comes from (seed, train or test, index), so a study is the same whoever makes it and in whatever order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import AXIAL_T2, CONDITION_PARTS, LEVELS, MISSING
from lumbar.phantom.dicom_writer import Encoding, Header, offset_plane, write_slice
from lumbar.phantom.irregular import ODDITIES
from lumbar.phantom.marks import KIND_OF_PART, Study, coordinate_rows, truth_rows
from lumbar.phantom.outlines import Fault, detect, write_outlines
from lumbar.phantom.patient import sample_patient
from lumbar.phantom.plan import UNCOVERED_SHARE, Scene, SeriesPlan, Size, plan_series
from lumbar.phantom.render import render_series

RESCALED_SHARE: Final = 0.18
"""Share of studies with rescale tags (26,437 of 147,218 real files have them)."""

BRIGHTEST_QUANTILE: Final = 0.995
"""Quantile of a series' pixels to which its window refers."""

DESCRIPTIONS: Final = {
    "T1": ("Sag T1", "SAG T1 TSE", "T1_tse_sag", "Sagittal T1"),
    "T2": ("Sag T2", "SAG T2 TSE", "T2_tse_sag", "Sagittal T2"),
    "STIR": ("Sag STIR", "SAG T2 STIR", "STIR_sag", "Sagittal STIR"),
    AXIAL_T2: ("Ax T2", "AX T2 TSE", "T2_tse_tra", "Axial T2"),
}
"""What scanners write into SeriesDescription."""


@dataclass(frozen=True)
class Task:
    """What a worker needs to make one study.

    Parameters
    ----------
    out : Path
        The data folder.
    split : str
        ``train`` or ``test``.
    key : tuple of int
        Seed of this study: the phantom's seed, the split, the index.
    study_id : int
        Kaggle's number.
    series_ids : tuple of int
        Numbers for up to as many series.
    size : str
        ``small`` or ``full``.
    grades, labels : mapping of str to int
        True grades, and labels (or `MISSING`), of the 25 targets.
    oddity : str or None
        Key of `lumbar.phantom.irregular.ODDITIES`.
    faults : tuple
        SpineNet's fault in the first and second sagittal series.
    """

    out: Path
    split: str
    key: tuple[int, ...]
    study_id: int
    series_ids: tuple[int, ...]
    size: Size
    grades: Mapping[str, int]
    labels: Mapping[str, int]
    oddity: str | None = None
    faults: tuple[Fault, ...] = (0, 0)

    def rng(self, *purpose: int) -> np.random.Generator:
        """Make the random generator for one purpose."""
        return np.random.default_rng([*self.key, *purpose])


@dataclass(frozen=True)
class Result:
    """Table rows of one study, and how much was written."""

    labels: Mapping[str, int]
    series: list[dict[str, Any]]
    truth: list[dict[str, Any]]
    coordinates: list[dict[str, Any]] = field(default_factory=list)
    slices: int = 0
    rendered: int = 0


def make_study(task: Task) -> Result:
    """Make one study: its DICOM files, for a training study its vertebra outlines, and its table rows.

    A series all of whose files exist is not rendered again: files are never half-written, so they are good.
    """
    study, labels = plan_study(task)
    rendered = 0
    for i, series in enumerate(study.series):
        folder = task.out / f"{task.split}_images" / str(task.study_id) / str(series.series_id)
        if not all((folder / f"{each.instance_number}.dcm").is_file() for each in series.slices):
            _write_series(folder, study, series, task.rng(2, i), task.rng(3, i))
            rendered += len(series.slices)
    if task.split == "train":
        _write_outlines(task, study)
    return Result(
        labels=labels,
        series=[
            {"study_id": task.study_id, "series_id": each.series_id, "series_description": each.kind}
            for each in study.series
        ],
        truth=list(truth_rows(study)),
        coordinates=list(coordinate_rows(study, labels, task.rng(4))) if task.split == "train" else [],
        slices=sum(len(series.slices) for series in study.series),
        rendered=rendered,
    )


def plan_study(task: Task) -> tuple[Study, dict[str, int]]:
    """Draw the patient and plan the series; return also the labels, missing where there is no series to grade on."""
    rng = task.rng(0)
    patient = sample_patient(task.rng(1), task.grades)
    scene = Scene(patient, _covered(task.labels, rng), task.size)
    encoding = _draw_encoding(rng)
    series = [_windowed(each, encoding, rng) for each in plan_series(scene, rng)]
    if task.oddity is not None:
        series = ODDITIES[task.oddity](series, scene, rng)
    numbers = rng.permutation(task.series_ids)[: len(series)].tolist()
    series = sorted(
        (replace(each, series_id=number) for each, number in zip(series, numbers, strict=True)),
        key=lambda each: each.series_id,
    )
    kinds = {each.kind for each in series}
    ungradable = {condition for condition, part in CONDITION_PARTS.items() if KIND_OF_PART[part] not in kinds}
    labels = dict(task.labels) | {f"{condition}_{level}": MISSING for condition in ungradable for level in LEVELS}
    table_offset = np.round(rng.normal(0, (6, 15, 25)), 1)
    return Study(task.study_id, patient, tuple(series), table_offset), labels


def _covered(labels: Mapping[str, int], rng: np.random.Generator) -> tuple[str, ...]:
    """Let the axial slices start below ungraded upper levels, and now and then below a graded L1/L2."""
    first = int(rng.random() < UNCOVERED_SHARE)
    for i, level in enumerate(LEVELS[:3]):
        if labels[f"left_subarticular_stenosis_{level}"] == MISSING:
            first = max(first, i + 1)
    return LEVELS[first:]


def _draw_encoding(rng: np.random.Generator) -> Encoding:
    rescaled = rng.random() < RESCALED_SHARE
    return Encoding(slope=float(rng.choice((1.0, 1.0, 0.5, 1.25, 2.4))) if rescaled else None)


def _windowed(series: SeriesPlan, encoding: Encoding, rng: np.random.Generator) -> SeriesPlan:
    """Give each series the window of a technologist's liking."""
    width = float(rng.uniform(0.75, 1.1))
    return replace(series, encoding=replace(encoding, window=(width * float(rng.uniform(0.45, 0.55)), width)))


def _write_series(
    folder: Path, study: Study, series: SeriesPlan, rng: np.random.Generator, texts: np.random.Generator
) -> None:
    """Render a series, one group of equal size after the other, and write its files."""
    frames: list[NDArray[np.uint16]] = [np.empty((0, 0), np.uint16)] * len(series.slices)
    for shape in dict.fromkeys(each.shape for each in series.slices):
        group = [i for i, each in enumerate(series.slices) if each.shape == shape]
        planes = [series.slices[i].plane for i in group]
        images = render_series(study.patient, planes, shape, series.thickness, series.contrast, rng)
        for i, image in zip(group, images, strict=True):
            frames[i] = image
    brightest = float(np.quantile(np.concatenate([frame.ravel()[::7] for frame in frames]), BRIGHTEST_QUANTILE))
    description = str(texts.choice(DESCRIPTIONS[AXIAL_T2 if series.kind == AXIAL_T2 else series.contrast]))
    for planned, frame in zip(series.slices, frames, strict=True):
        header = Header(
            study.study_id, series.series_id, planned.instance_number, description, series.contrast,
            offset_plane(planned.plane, study.table_offset), series.thickness, series.spacing,
        )  # fmt: skip
        write_slice(folder / f"{planned.instance_number}.dcm", frame, header, series.encoding, brightest)


def _write_outlines(task: Task, study: Study) -> None:
    for i, series in enumerate(study.sagittal):
        fault = task.faults[i] if i < len(task.faults) else 0
        if fault is not None:
            write_outlines(task.out, series.series_id, detect(study, series, fault, task.rng(5, i)))
