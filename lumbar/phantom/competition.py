"""The whole phantom: who is in it, every table of the download, and the two that only a phantom has.

The parent process deals out numbers, grades, oddities and faults; workers make one study each
(`lumbar.phantom.study`); the parent writes the tables in the order of the studies.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from lumbar import tables
from lumbar.anatomy import TARGETS
from lumbar.cli import UserError
from lumbar.files import TEMPORARY, foreign, locked, write_text
from lumbar.parallel import ordered_map
from lumbar.phantom.irregular import deal
from lumbar.phantom.marks import draw_faults
from lumbar.phantom.plan import Size
from lumbar.phantom.severity import sample_grades
from lumbar.phantom.study import Task, make_study

MARKER: Final = "phantom.json"
"""File that says which phantom a folder holds."""

DUMMY_SERIES: Final = 999_999_999
"""Number that configs keep for "no such series"; no series has it."""

SERIES_PER_STUDY: Final = 4
"""Most series that a study can have."""

TABLES: Final = (
    tables.TRAIN, tables.TRAIN_SERIES, tables.LABEL_COORDINATES, tables.TEST_SERIES, tables.SAMPLE_SUBMISSION,
    tables.TRUTH, tables.TRUTH_GRADES,
)  # fmt: skip

PATHS: Final = ("train_images", "test_images", "spinenet", MARKER, *(table.path for table in TABLES))
"""What a phantom consists of, relative to its folder."""

MADE: Final = re.compile(r"\d+/\d+/\d+\.dcm|vert_dicts_v0/\d+_vert_dicts\.p|found")
"""Files in its folders."""


@dataclass(frozen=True)
class Options:
    """What determines every byte of a phantom."""

    studies: int = 60  # for training
    test_studies: int = 8
    seed: int = 0  # 0 or more
    size: Size = "small"  # 208-256 pixels; full: as the real data
    irregular: float = 0.15  # share of studies with an oddity


@dataclass(frozen=True)
class Summary:
    """What was made: counts, and the seconds it took."""

    studies: int
    irregular: int
    series: int
    slices: int
    rendered: int
    seconds: float


def make_competition(out: Path, options: Options, workers: int = 1, force: bool = False) -> Summary:
    """Make a phantom, or go on with one that was interrupted.

    Parameters
    ----------
    out : Path
        The data folder.
    options : Options
        What to make.
    workers : int
        Processes; the result does not depend on it.
    force : bool
        Delete the phantom that the folder holds, and make this one. A real download is never deleted.

    Raises
    ------
    UserError
        If the folder holds a real download, or another phantom and not `force`.
    """
    start = time.perf_counter()
    tasks = deal_tasks(out, options)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out, lambda: print(f"{out}: another run is at work on it; waiting", file=sys.stderr)):
            _claim(out, options, force)
            results = list(ordered_map(make_study, tasks, workers, "phantom", unit="study"))
            for table in TABLES:
                rows = [row for result in results for row in result.rows.get(table, [])]
                tables.write_table(pd.DataFrame(rows, columns=None if rows else list(table.columns)), out, table)
    except OSError as error:
        place = error.filename or out
        raise UserError(
            f"{place}: cannot be written ({error.strerror or error}); make room, or choose another --out"
        ) from error
    return Summary(
        studies=len(tasks),
        irregular=sum(task.oddity is not None for task in tasks),
        series=sum(result.series for result in results),
        slices=sum(result.slices for result in results),
        rendered=sum(result.rendered for result in results),
        seconds=time.perf_counter() - start,
    )


def _claim(out: Path, options: Options, force: bool) -> None:
    """Mark the folder as this phantom's, unless it holds something else; clear what a killed run left behind."""
    marker, content = out / MARKER, json.dumps(asdict(options), indent=1) + "\n"
    held = [out / name for name in PATHS if (out / name).exists()]
    same = marker.is_file() and marker.read_text(encoding="utf-8") == content
    if held and not marker.is_file():
        raise UserError(
            f"{out}: holds a competition that is no phantom ({held[0].name}); choose another --out", status=2
        )
    if held and not same and not force:
        raise UserError(f"{out}: holds another phantom; choose another --out, or let --force delete it", status=2)
    if force:
        other = next((found for path in held if path.is_dir() and (found := foreign(path, MADE))), None)
        if other is not None:
            raise UserError(f"{other}: is no file of a phantom and is not deleted; move it, or choose another --out", 2)
        for path in held:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for leftover in [*out.glob(f".*{TEMPORARY}"), *(file for path in held for file in path.rglob(f".*{TEMPORARY}"))]:
        leftover.unlink()
    write_text(marker, content)


def deal_tasks(out: Path, options: Options) -> list[Task]:
    """Deal out numbers, grades, oddities and SpineNet's faults; training studies first, ascending numbers."""
    total = options.studies + options.test_studies
    rng = np.random.default_rng([options.seed, total])
    numbers = _numbers(total * (1 + SERIES_PER_STUDY), rng)
    study_ids, series_ids = numbers[:total], numbers[total:].reshape(total, SERIES_PER_STUDY)
    oddities = deal(options.studies, options.test_studies, options.irregular, rng)
    faults = draw_faults(2 * options.studies, rng) + [0] * (2 * options.test_studies)
    tasks: list[Task] = []
    for split, (name, count) in enumerate((("train", options.studies), ("test", options.test_studies))):
        first = len(tasks)
        ids = np.sort(study_ids[first : first + count]).tolist()
        true, labels = sample_grades(count, np.random.default_rng([options.seed, split, count]))
        tasks += [
            Task(
                out=out,
                split=name,
                key=(options.seed, split, index),
                study_id=study_id,
                series_ids=tuple(series_ids[first + index].tolist()),
                size=options.size,
                grades=dict(zip(TARGETS, true[index].tolist(), strict=True)),
                labels=dict(zip(TARGETS, labels[index].tolist(), strict=True)),
                oddity=oddities[first + index],
                faults=tuple(faults[2 * (first + index) :][:2]),
            )
            for index, study_id in enumerate(ids)
        ]
    return tasks


def _numbers(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw unique numbers that look like Kaggle's: up to 2**32."""
    drawn = rng.integers(4_000_000, 2**32, 2 * count + 10)
    return rng.permutation(np.setdiff1d(drawn, [DUMMY_SERIES]))[:count]
