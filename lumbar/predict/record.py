"""What is known about a predicted study: grades, where they come from, the slices to show, and warnings.

One file per study, ``<work>/records/<study number>.npz``, written when the study is finished: a run that was stopped
goes on after it, and a report is made from these files without running a network again. A record holds numbers and
pictures, and no tag of a patient.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import GRADES, LEVELS, TARGETS
from lumbar.cli import UserError
from lumbar.files import write_bytes

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

MODELS: Final = "models"
OTHER_SERIES: Final = "other series"
NEIGHBOUR: Final = "neighbouring level"
SHARES: Final = "class shares"
SOURCES: Final = (MODELS, OTHER_SERIES, NEIGHBOUR, SHARES)
"""Where a target's probabilities come from, from the best to the last.

`MODELS`: networks that looked at the target's own level on the series type that it is graded on. `OTHER_SERIES`: only
networks that looked at its level on axial slices, for want of the sagittal series. `NEIGHBOUR`: its level was not found
and the nearest level stands in. `SHARES`: nothing is known but how frequent the grades are.
"""

_FORMAT: Final = 1


class SeriesNote(NamedTuple):
    """One series of a study: what it was taken for, and why."""

    series_id: int
    kind: str | None
    """One of `lumbar.anatomy.SERIES_TYPES`; None where the series was ignored."""
    reason: str
    """How it was recognised, or why it was ignored; one clause without patient data."""
    slices: int
    """Slices that could be read; of an ignored series the files."""


@dataclass(frozen=True, eq=False)
class SagittalView:
    """The slice that runs through the spinal canal, with the level points that were found on it."""

    series_id: int
    instance_number: int
    kind: str
    """One of `lumbar.anatomy.SERIES_TYPES`."""
    spacing: tuple[float, float]
    """Between rows, between columns, mm; NaN where unknown."""
    confidence: float
    """How sure the localiser is that the slice shows the lumbar spine, 0 to 1."""
    points: Floats
    """x, y per level (`lumbar.anatomy.LEVELS`), pixels, shape (5, 2)."""
    image: Pixels
    """The whole slice, as the v01 cache has it, shape (H, W)."""


@dataclass(frozen=True, eq=False)
class AxialView:
    """The axial slice closest to one level, with the box that the classifiers looked at."""

    level: str
    """One of `lumbar.anatomy.LEVELS`."""
    series_id: int
    instance_number: int
    distance: float
    """Between the slice and the level point, mm."""
    slices: int
    """Slices in the level's sequence."""
    spacing: tuple[float, float]
    """Between rows, between columns, mm; NaN where unknown."""
    box: NDArray[np.int64]
    """x0, y0, x1, y1, pixels, ends excluded."""
    points: Floats
    """x, y of the left and right subarticular point, pixels, shape (2, 2). The patient's left is at the right."""
    image: Pixels
    """The whole slice, as the v01 cache has it, shape (H, W)."""


@dataclass(frozen=True, eq=False)
class StudyRecord:
    """All that a run leaves of one study."""

    study_id: int
    """Its folder's name where that is a number, else a short hash."""
    fingerprint: str
    """Tells the study's files and the networks; another one means that the record is stale."""
    probabilities: Floats
    """Per target (`lumbar.anatomy.TARGETS`) and grade, shape (25, 3); each row sums to 1."""
    source: tuple[str, ...]
    """Where each target's probabilities come from, of `SOURCES`."""
    models: Mapping[str, Floats]
    """Probabilities per classifier, before the ensemble, shape (25, 3); NaN where it predicted nothing."""
    series: tuple[SeriesNote, ...]
    """The series used, then those ignored."""
    warnings: tuple[str, ...]
    """One sentence each: what fell back to what and why, and where the networks are unsure. Empty: all went well."""
    sagittal: SagittalView | None = None
    """None where no level was located."""
    axial: tuple[AxialView, ...] = ()
    """At most one per level, from the head down; a level that is on no axial slice is left out."""

    def __post_init__(self) -> None:
        shape = len(TARGETS), len(GRADES)
        if self.probabilities.shape != shape or len(self.source) != len(TARGETS):
            raise ValueError(
                f"expected probabilities {shape} and {len(TARGETS)} sources, got {self.probabilities.shape}, "
                f"{len(self.source)}"
            )


def write_record(folder: Path, record: StudyRecord) -> Path:
    """Write a record atomically to ``<folder>/<study number>.npz``."""
    arrays: dict[str, NDArray[Any]] = {"probabilities": record.probabilities}
    arrays |= {f"models/{name}": values for name, values in record.models.items()}
    views = {f"axial/{number}": view for number, view in enumerate(record.axial)}
    texts: dict[str, Any] = {
        "format": _FORMAT,
        "study_id": record.study_id,
        "fingerprint": record.fingerprint,
        "source": record.source,
        "series": record.series,
        "warnings": record.warnings,
        "models": list(record.models),
        "views": {},
    }
    for name, view in {**({"sagittal": record.sagittal} if record.sagittal else {}), **views}.items():
        values = asdict(view)  # type: ignore[call-overload]
        arrays |= {f"{name}/{key}": value for key, value in values.items() if isinstance(value, np.ndarray)}
        texts["views"][name] = {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}
    content = io.BytesIO()
    np.savez_compressed(content, text=np.array(json.dumps(texts)), **arrays)  # type: ignore[arg-type]
    path = folder / f"{record.study_id}.npz"
    write_bytes(path, content.getvalue())
    return path


def read_record(path: Path, pictures: bool = True) -> StudyRecord:
    """Read a record; without pictures, which takes a tenth of the time, the views are left out.

    Raises
    ------
    UserError
        If the file is absent, damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            return _record(content, pictures)
    except Exception as error:  # a damaged archive can raise nearly anything
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: cannot be read ({reason}); run the same command again, it is made again") from error


def _record(content: Mapping[str, NDArray[Any]], pictures: bool) -> StudyRecord:
    text = json.loads(str(content["text"]))
    if text["format"] != _FORMAT:
        raise ValueError(f"record of version {text['format']}, expected {_FORMAT}")
    if not pictures:
        text["views"] = {}

    def view(kind: type, name: str) -> Any:
        plain = text["views"][name]
        arrays = {field.name: content[f"{name}/{field.name}"] for field in fields(kind) if field.name not in plain}
        return kind(**{**plain, **arrays, "spacing": tuple(plain["spacing"])})

    return StudyRecord(
        study_id=text["study_id"],
        fingerprint=text["fingerprint"],
        probabilities=content["probabilities"],
        source=tuple(text["source"]),
        models={name: content[f"models/{name}"] for name in text["models"]},
        series=tuple(SeriesNote(*note) for note in text["series"]),
        warnings=tuple(text["warnings"]),
        sagittal=view(SagittalView, "sagittal") if "sagittal" in text["views"] else None,
        axial=tuple(view(AxialView, f"axial/{n}") for n in range(len(LEVELS)) if f"axial/{n}" in text["views"]),
    )


def is_finished(folder: Path, study_id: int, fingerprint: str) -> bool:
    """Say whether a study has a record with this fingerprint, undamaged down to its pictures."""
    try:
        return read_record(folder / f"{study_id}.npz").fingerprint == fingerprint
    except UserError:
        return False


class Records:
    """The records of a run, read one at a time when asked for, so that any number fits into memory.

    Parameters
    ----------
    folder : Path
        Where they lie.
    study_ids : sequence of int
        The studies, in the order of the submission.
    notes : sequence of str
        Warnings that concern the whole run: unusable weights, files that could not be read.
    """

    def __init__(self, folder: Path, study_ids: Sequence[int], notes: Sequence[str] = ()) -> None:
        self.folder, self.study_ids, self.notes = folder, tuple(study_ids), tuple(notes)

    def __len__(self) -> int:
        return len(self.study_ids)

    def __iter__(self) -> Iterator[StudyRecord]:
        return (read_record(self.folder / f"{study_id}.npz") for study_id in self.study_ids)
