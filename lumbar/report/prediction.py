"""The report of a prediction: an overview of the studies, then per study its slices, its 25 grades and its warnings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import GRADES, LEVEL_LABELS, LEVELS, NFN, SCS, SS
from lumbar.grades.scoring import PART_COLUMNS
from lumbar.html.page import Cell, Table, write_page
from lumbar.html.pictures import Mark, Picture, around, make_picture
from lumbar.predict.record import MODELS, NEIGHBOUR, OTHER_SERIES, SHARES, AxialView, Records, SagittalView, StudyRecord

GROUPS: Final = {SCS: "Canal", NFN: "Foramina", SS: "Subarticular"}
"""Condition groups as the overview heads them."""

CONDITION_NAMES: Final = ("Canal", "Foramen, left", "Foramen, right", "Subarticular, left", "Subarticular, right")
"""Conditions, in target order, as the table of grades heads them."""

FOOTNOTES: Final = {
    OTHER_SERIES: ("a", "from axial slices only, for want of the sagittal series"),
    NEIGHBOUR: ("b", "this level was not found: the grade of the nearest level stands in"),
    SHARES: ("c", "not seen: how frequent the grades are in the competition's data, weighted as its score does"),
}
"""Mark and text of each source but `MODELS`."""

MOST_WITH_PICTURES: Final = 300
"""Studies that are shown with pictures; each adds about 0.15 MB to the page. Those after them have grades only."""

SAGITTAL_SIDE, AXIAL_SIDE = 480, 280
"""Longer side of the pictures, pixels."""

CONTEXT: Final = 2.2
"""Side of the part of an axial slice that is shown, in sides of its box."""


UNSEEN: Final = "not seen"
"""Stands for the grade of a target about which nothing but the class shares is known."""


class Worst(NamedTuple):
    """The worst predicted grade of a condition group."""

    style: str
    """Class of the style sheet: ``g0``, ``g1``, ``g2``; ``unseen``."""
    text: str
    order: float
    """What the column sorts by: the grade, and within a grade its probability; -1 if nothing was seen."""


class Row(NamedTuple):
    """One line of the overview."""

    study_id: int
    worst: tuple[Worst, ...]
    severe: float
    """Probability of severe canal stenosis at the worst of the levels seen; NaN without one."""
    unseen: int
    warnings: int


class GradeCell(NamedTuple):
    """One target in the table of grades."""

    style: str
    """Classes of the style sheet."""
    name: str
    probabilities: tuple[float, ...]
    text: str
    mark: str


def write_report(records: Records, path: Path) -> Path:
    """Write the report of a prediction, one self-contained HTML file.

    Parameters
    ----------
    records : Records
        The studies, in the order in which they are shown, and the warnings of the whole run. They are read one at a
        time, twice.
    path : Path
        The HTML file.
    """
    notes = list(records.notes)
    if len(records) > MOST_WITH_PICTURES:
        notes.append(f"only the first {MOST_WITH_PICTURES} of {len(records)} studies are shown with pictures")
    return write_page(
        path,
        "prediction.html.j2",
        rows=[overview_row(record) for record in records],
        studies=_studies(records),
        notes=notes,
        groups=GROUPS.values(),
        conditions=CONDITION_NAMES,
    )


def _studies(records: Records) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        yield study_section(record, pictures=number < MOST_WITH_PICTURES)


def overview_row(record: StudyRecord) -> Row:
    """Sum a study up in one line."""
    severe = record.probabilities[_seen(record, SCS), -1]
    unseen = sum(source != MODELS for source in record.source)
    worst = tuple(_worst(record, part) for part in GROUPS)
    highest = round(float(severe.max()), 4) if len(severe) else float("nan")
    return Row(record.study_id, worst, highest, unseen, len(record.warnings))


def _seen(record: StudyRecord, part: str) -> NDArray[np.int64]:
    """List the targets of a condition group about which more than the class shares is known."""
    return np.flatnonzero(PART_COLUMNS[part] & (np.array(record.source) != SHARES))


def _worst(record: StudyRecord, part: str) -> Worst:
    """Find the worst grade of a condition group, and of equal ones the most probable."""
    columns = _seen(record, part)
    if not len(columns):
        return Worst("unseen", UNSEEN, -1.0)
    grade = record.probabilities[columns].argmax(-1)
    order = grade + 0.999 * record.probabilities[columns].max(-1)
    first = int(order.argmax())
    level = LEVEL_LABELS[int(columns[first]) % len(LEVELS)]
    text = GRADES[grade[first]] if grade[first] == 0 else f"{GRADES[grade[first]]} {level}"
    return Worst(f"g{grade[first]}", text, round(float(order[first]), 4))


def study_section(record: StudyRecord, pictures: bool = True) -> dict[str, Any]:
    """Lay out what the page shows of a study.

    Parameters
    ----------
    record : StudyRecord
        The study.
    pictures : bool
        Show its slices.
    """
    used = [(mark, text) for source, (mark, text) in FOOTNOTES.items() if source in record.source]
    return {
        "study_id": record.study_id,
        "warnings": record.warnings,
        "series": _series_table(record),
        "sagittal": sagittal_picture(record.sagittal) if pictures and record.sagittal else None,
        "axial": [axial_picture(view) for view in record.axial] if pictures else [],
        "no_pictures": "No level was found on any slice." if pictures else "Its pictures are left out of this page.",
        "grades": [
            (label, [_cell(record, condition * len(LEVELS) + level) for condition in range(len(CONDITION_NAMES))])
            for level, label in enumerate(LEVEL_LABELS)
        ],
        "sources": used,
    }


def _series_table(record: StudyRecord) -> Table:
    rows = [
        (each.series_id, each.kind or "ignored", Cell(each.reason, style="text"), each.slices) for each in record.series
    ]
    return Table(f"Series of study {record.study_id}", ("Series", "Taken for", "Why", "Slices"), rows)


def _cell(record: StudyRecord, target: int) -> GradeCell:
    probabilities = record.probabilities[target]
    grade, source = int(probabilities.argmax()), record.source[target]
    mark, _ = FOOTNOTES.get(source, ("", ""))
    style, name = ("unseen", UNSEEN.capitalize()) if source == SHARES else (f"g{grade}", GRADES[grade])
    text = " · ".join(f"{100 * each:.0f}" for each in probabilities)
    return GradeCell(f"{style} fallback" if mark else style, name, tuple(map(float, probabilities)), text, mark)


def sagittal_picture(view: SagittalView) -> Picture:
    """Show the slice through the canal with the points of the levels."""
    marks = [Mark(x, y, "level", label) for (x, y), label in zip(view.points.tolist(), LEVEL_LABELS, strict=True)]
    sure = "" if np.isnan(view.confidence) else f"; that it shows the lumbar spine: {100 * view.confidence:.0f} % sure"
    caption = f"{view.kind}, series {view.series_id}, slice {view.instance_number}{sure}"
    alt = f"Sagittal slice through the spinal canal, the discs {', '.join(LEVEL_LABELS)} marked"
    return make_picture(view.image, alt, caption, marks=marks, spacing=view.spacing, longer_side=SAGITTAL_SIDE)


def axial_picture(view: AxialView) -> Picture:
    """Show the part of a level's axial slice around the box that the classifiers looked at."""
    label = LEVEL_LABELS[LEVELS.index(view.level)]
    low, high = view.box.reshape(2, 2).astype(float)
    reach = CONTEXT * (high - low) / 2
    marks = [
        Mark(x, y, side, side[0].upper()) for (x, y), side in zip(view.points.tolist(), ("left", "right"), strict=True)
    ]
    return make_picture(
        view.image,
        f"Axial slice at {label}, the graded part framed",
        f"{label}: slice {view.instance_number} of series {view.series_id}, {view.distance:.1f} mm from the level; "
        f"{view.slices} {'slice' if view.slices == 1 else 'slices'} graded",
        marks=marks,
        box=view.box,
        region=around((low + high) / 2, reach),
        spacing=view.spacing,
        longer_side=AXIAL_SIDE,
    )
