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
from lumbar.images.dicom import DicomError, DicomFile, read_tags
from lumbar.images.display import in_other_plane
from lumbar.images.geometry import to_patient
from lumbar.images.numbering import numbered_files
from lumbar.images.slices import tag_vectors
from lumbar.labels.human import LEFT, human_points
from lumbar.labels.misplaced import misplaced
from lumbar.parallel import ordered_map
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


STORAGE: Final = ("series_id", "files", "syntax", "compressed", "signed", "photometric", "windows", "frames")
"""Of each series: how many files it has, and what `lumbar.images.dicom.DicomFile.storage` says of the first."""


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
        folders = [
            data / f"{split}_images" / str(row.study_id) / str(row.series_id)
            for split, files in self.files.items()
            for row in records(files.drop_duplicates(["study_id", "series_id"]))
        ]
        stored = ordered_map(_read_storage, folders, 1, "headers", "series")
        self.storage = pd.DataFrame(filter(None, stored), columns=list(STORAGE))
        self.files = {split: _with_frames(files, self.storage) for split, files in self.files.items()}
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
    def scouts(self) -> pd.DataFrame:
        """Training slices in another plane than their series, which preparation leaves out of the metadata table."""
        files = self.files["train"]
        if "meta" not in self.tables:
            return files[:0]
        planes = self["meta"].groupby("series_id")["ImageOrientationPatient"].agg(list)
        left_out = without(files[files["series_id"].isin(planes.index)], self["meta"])
        chosen = []
        for row in records(left_out):
            paths = numbered_files(self.data / "train_images" / str(row.study_id) / str(row.series_id))
            try:
                orientation = read_tags(paths[row.instance_number])["ImageOrientationPatient"]
            except (DicomError, KeyError):  # preparation says what is wrong with it, or it is a frame
                orientation = None
            chosen.append(in_other_plane([*planes[row.series_id], orientation])[-1])
        return left_out[np.array(chosen, dtype=bool)]

    @cached_property
    def placed_labels(self) -> pd.DataFrame:
        """`labels` on slices of the metadata table.

        With ``img_w, img_h``; ``towards_left`` and ``towards_head``: patient x and z, mm, NaN where unknown; and
        ``misplaced``: why a point cannot be right, as `lumbar.labels.misplaced.misplaced` says it.
        """
        rows = self.labels.merge(self["meta"].drop(columns="study_id"), on=SLICE)
        position, orientation = (
            tag_vectors(rows["ImagePositionPatient"], 3),
            tag_vectors(rows["ImageOrientationPatient"], 6),
        )
        spacing, xy = tag_vectors(rows["PixelSpacing"], 2), rows[["x", "y"]].to_numpy(np.float64)
        place = to_patient(xy, position, orientation, spacing)
        reasons = misplaced(rows.assign(level=rows["level"].map(LEVELS.index)))
        return rows.assign(towards_left=place[:, 0], towards_head=place[:, 2], misplaced=reasons)


def records(rows: pd.DataFrame) -> Iterator[Any]:
    """Go through the rows of a table as named tuples."""
    return iter(rows.itertuples())


def target_name(row: Any) -> str:
    """Write a target briefly: ``left NFN L4/L5``, ``SCS L1/L2``."""
    side = "" if row.side == "canal" else f"{row.side} "
    return f"{side}{row.part.upper()} {row.level.upper().replace('_', '/')}"


def label_names(rows: pd.DataFrame) -> list[str]:
    """Name labels by slice and target."""
    return [f"{row.study_id}/{row.series_id}/{row.instance_number} {target_name(row)}" for row in records(rows)]


def slice_names(rows: pd.DataFrame) -> list[str]:
    """Name slices as their files."""
    return [f"{row.study_id}/{row.series_id}/{row.instance_number}" for row in records(rows)]


def without(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Select the slices that another table lacks."""
    return rows[~pd.MultiIndex.from_frame(rows[SLICE]).isin(pd.MultiIndex.from_frame(others[SLICE]))]


def along_stacks(meta: pd.DataFrame) -> pd.DataFrame:
    """Order the slices of each series along its stack, towards the patient's left, back or head.

    Returns
    -------
    DataFrame
        `series_id, instance_number`, and ``along``, mm on the normal of the series' first slice; by series and place.
    """
    meta = meta.sort_values(SLICE)
    position, axes = tag_vectors(meta["ImagePositionPatient"], 3), tag_vectors(meta["ImageOrientationPatient"], 6)
    _, first, code = np.unique(meta["series_id"], return_index=True, return_inverse=True)
    normal = np.cross(axes[:, :3], axes[:, 3:])[first]
    main = np.abs(np.nan_to_num(normal)).argmax(axis=1)
    normal *= np.where(normal[np.arange(len(normal)), main] < 0, -1, 1)[:, None]
    along = np.sum(position * normal[code], axis=1)
    return meta[SLICE].assign(along=along).sort_values(["series_id", "along"])


def _read_storage(folder: Path) -> dict[str, Any]:
    """Read how the first file of a series stores its slices; nothing where it cannot be read."""
    files = list(numbered_files(folder).values())
    try:
        return {"series_id": int(folder.name), "files": len(files), **DicomFile(files[0]).storage()}
    except DicomError:  # preparation says what is wrong with it
        return {}


def _with_frames(files: pd.DataFrame, storage: pd.DataFrame) -> pd.DataFrame:
    """Put the frames of a series of one file in its place, numbered from 1 as preparation does it."""
    frames = storage.set_index("series_id").query("files == 1 and frames > 1")["frames"]
    count = files["series_id"].map(frames).fillna(1).astype(int)
    result = files.loc[files.index.repeat(count)]
    number = result.groupby("series_id").cumcount() + 1
    return result.assign(
        instance_number=result["instance_number"].where(~result["series_id"].isin(frames.index), number)
    )


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
