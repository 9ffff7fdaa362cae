"""What the audit looks at: the files that are there, and the tables, each read once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from lumbar.anatomy import LEVELS, SCS
from lumbar.audit.findings import Finding, judge, note
from lumbar.cli import UserError, require_dir
from lumbar.images.cache import VERSIONS, cache_dir, is_identifier, is_instance
from lumbar.images.geometry import to_patient
from lumbar.images.slices import tag_vectors
from lumbar.labels.human import LEFT, human_points
from lumbar.table_checks import Flaw
from lumbar.tables import (
    DOWNLOAD,
    FOLDS,
    LABEL_COORDINATES,
    META,
    SAGITTAL_LABELS,
    SLICE,
    TEST_SERIES,
    TRAIN,
    TRAIN_SERIES,
    Table,
    read_table,
)

SPLITS: Final = ("train", "test")

TABLES: Final[dict[str, Table]] = {
    "train": TRAIN,
    "series": TRAIN_SERIES,
    "coordinates": LABEL_COORDINATES,
    "test_series": TEST_SERIES,
    "meta": META,
    "folds": FOLDS,
    "stage1": SAGITTAL_LABELS,
}
"""Tables by the names that checks ask for."""

REQUIRED: Final = ("train", "series", "coordinates")
"""Tables without which nothing can be trained."""


class TableMissing(LookupError):
    """A check cannot be done, for want of the table of this name in `TABLES`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Inputs:
    """A data folder under audit.

    Parameters
    ----------
    data : Path
        The data folder.

    Raises
    ------
    UserError
        If it has no ``train_images``.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        require_dir(data / "train_images", "the training studies", f"Get them with {DOWNLOAD}")
        self.tables: dict[str, pd.DataFrame] = {}
        self.problems: list[Finding] = []
        for name, table in TABLES.items():
            if (data / table.path).is_file() or name in REQUIRED:
                self._read(name)
        closed: list[str] = []
        self.files = {split: _list_slices(data / f"{split}_images", ".dcm", closed) for split in SPLITS}
        self.caches = {
            version: _list_slices(cache_dir(data / "train_images", version), ".png", closed)
            for version in VERSIONS
            if cache_dir(data / "train_images", version).is_dir()
        }
        if closed:
            text = "what is in them is left out"
            self.problems.append(judge("folders can be read", closed, len(closed), text, error_above=0))

    def _read(self, name: str) -> None:
        """Read a table as every command does; what is wrong with it is a problem."""
        table, flaws = TABLES[name], list[Flaw]()
        try:
            self.tables[name] = read_table(self.data, table, flaws)
        except UserError as error:
            self.problems.append(Finding("error", f"{table.path} can be read", str(error), cases=1, total=1))
            return
        self.problems.append(Finding("ok", f"{table.path} can be read", total=len(self.tables[name])))
        for flaw in flaws:
            found = note if flaw.harmless else judge
            self.problems.append(found(f"{table.path}: {flaw.title}", flaw.cases, flaw.total, flaw.text))

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Give a table by its name in `TABLES`; raises `TableMissing`, before which a check must not find anything."""
        if name not in self.tables:
            raise TableMissing(name)
        return self.tables[name]

    @cached_property
    def labels(self) -> pd.DataFrame:
        """Known label coordinates, with ``part`` (nfn, scs, ss) and ``side`` (left, right or canal).

        ``condition`` and ``level`` as column names. Needs ``coordinates``.
        """
        points = human_points(self["coordinates"])
        side = np.select([points["part"] == SCS, points["side"] == LEFT], ["canal", "left"], "right")
        return points.assign(level=points["level"].map(dict(enumerate(LEVELS))), side=side)

    @cached_property
    def placed_labels(self) -> pd.DataFrame:
        """`labels` on slices of the metadata table, with ``img_w, img_h`` and ``towards_left`` (patient x, mm)."""
        rows = self.labels.merge(self["meta"].drop(columns="study_id"), on=SLICE)
        position, orientation = (
            tag_vectors(rows["ImagePositionPatient"], 3),
            tag_vectors(rows["ImageOrientationPatient"], 6),
        )
        spacing, xy = tag_vectors(rows["PixelSpacing"], 2), rows[["x", "y"]].to_numpy(np.float64)
        return rows.assign(towards_left=to_patient(xy, position, orientation, spacing)[:, 0])


def records(rows: pd.DataFrame) -> Iterator[Any]:
    """Go through the rows of a table as named tuples."""
    return iter(rows.itertuples())


def _list_slices(images: Path, suffix: str, closed: list[str]) -> pd.DataFrame:
    """List ``<study>/<series>/<instance><suffix>``; files and folders of other names are left out.

    `closed` gets the folders that may not be read.
    """
    rows = [
        (study, series, int(Path(file.name).stem))
        for study, study_folder in _numbered_folders(images, closed)
        for series, series_folder in _numbered_folders(study_folder, closed)
        for file in _scan(series_folder, closed)
        if file.name.lower().endswith(suffix) and is_instance(Path(file.name).stem)
    ]
    return pd.DataFrame(sorted(rows), columns=["study_id", "series_id", "instance_number"], dtype=np.int64)


def _numbered_folders(folder: Path, closed: list[str]) -> Iterator[tuple[int, Path]]:
    for each in _scan(folder, closed):
        if is_identifier(each.name) and each.is_dir():
            yield int(each.name), Path(each.path)


def _scan(folder: Path, closed: list[str]) -> Iterable[os.DirEntry[str]]:
    """List a folder; one that is not there, or may not be read, has nothing."""
    try:
        return list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        closed.append(f"{folder} ({error.strerror})")
        return ()
