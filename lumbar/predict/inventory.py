"""Which studies a folder holds: files grouped into series and studies, series types known, everything numbered.

Any layout is taken: ``<study>/<series>/<instance>.dcm`` as Kaggle has it, folders of folders, or one pile. Only
headers are read here, and with a table of series and Kaggle's layout not even those. Studies and series carry numbers:
those of their folders where they are named so, else short hashes of their identifiers, and no tag of a patient.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from lumbar import tables
from lumbar.anatomy import SERIES_TYPES
from lumbar.cli import UserError
from lumbar.images.cache import is_instance
from lumbar.predict.grouping import group_studies, read_headers
from lumbar.predict.study_files import Numbers, SeriesFiles, StudyFiles, list_files

Files = dict[str, dict[str, dict[int, Path]]]
"""Files by study, series and instance number, as folders and files are named."""


@dataclass
class Inventory:
    """The studies of a folder, ascending by number, and one line for each file or folder that is of no use."""

    studies: list[StudyFiles] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """One line for each folder that several studies share, and one for all files that are no images."""
    by_header: frozenset[int] = frozenset()
    """Studies whose series were recognised by their headers."""


def take_inventory(root: Path, series_table: Path | None, leave_out: Path, workers: int) -> Inventory:
    """Find the studies under a folder.

    Parameters
    ----------
    root : Path
        Folder of DICOM files in any layout.
    series_table : Path or None
        `lumbar.tables.TEST_SERIES`: types of the series in Kaggle's layout. Studies that it does not list, and all
        studies without it, are recognised by their headers.
    leave_out : Path
        A folder not to look into (the run's own work folder).
    workers : int
        Processes that read headers.

    Raises
    ------
    UserError
        If the folder cannot be read or holds no DICOM file, or nothing that the table lists.
    """
    root, inventory, numbers = root.absolute(), Inventory(), Numbers()
    paths = list_files(root, leave_out.absolute(), inventory.problems)
    if series_table is not None:
        paths = _take_listed(root, series_table, paths, numbers, inventory)
    recognised = group_studies(root, read_headers(paths, workers, inventory.problems, inventory.notes), numbers)
    inventory.notes += [
        f"{root / folder}: holds {count} patients or examinations in one folder, told apart by their identifiers"
        for folder, count in Counter(study.folder for study in recognised).items()
        if count > 1
    ]
    inventory.by_header = frozenset(study.study_id for study in recognised)
    inventory.studies = sorted(inventory.studies + recognised, key=lambda study: study.study_id)
    if not inventory.studies:
        count = len(inventory.problems)
        first = f" ({count} unusable files or folders, the first: {inventory.problems[0]})" if count else ""
        raise UserError(f"{root}: holds no DICOM image{first}; expected DICOM files, in any layout", status=2)
    return inventory


def _take_listed(root: Path, path: Path, paths: Sequence[Path], numbers: Numbers, inventory: Inventory) -> list[Path]:
    """Take up the studies that a table of series lists; return the files of all others."""
    made_by = "the download, or leave --series out: series are then recognised by their headers"
    table = tables.read_table(Path(), replace(tables.TEST_SERIES, path=str(path), made_by=made_by))
    table = table.astype({"study_id": str, "series_id": str})
    listed = set(table["study_id"])
    files: Files = defaultdict(lambda: defaultdict(dict))
    rest = []
    for file in paths:
        folders = file.relative_to(root).parts[:-1]
        if len(folders) != 2 or folders[0] not in listed:
            rest.append(file)
        elif file.suffix.lower() == ".dcm" and is_instance(file.stem):
            files[folders[0]][folders[1]][int(file.stem)] = file
        elif file.suffix.lower() == ".dcm":
            inventory.problems.append(f"{file}: the file name is no instance number; expected for example 12.dcm")
    if not files:
        raise UserError(
            f"{path}: lists {len(listed)} studies, but {root} holds no <study>/<series>/<instance>.dcm of them; "
            "give the folder that the table belongs to, or leave --series out",
            status=2,
        )
    for study, rows in table.groupby("study_id"):
        inventory.studies.append(
            _listed_study(root / str(study), path.name, rows, files[str(study)], numbers, inventory)
        )
    return rest


def _listed_study(
    folder: Path,
    table: str,
    rows: pd.DataFrame,
    files: dict[str, dict[int, Path]],
    numbers: Numbers,
    inventory: Inventory,
) -> StudyFiles:
    """Make a study of the series that a table lists; others in its folder are ignored."""
    kinds = dict(zip(rows["series_id"], rows["series_description"], strict=True))
    study = numbers.study(folder.name, folder.name)
    series = []
    for name in sorted({*kinds, *files}):
        kind, reason = kinds.get(name), f"listed in {table}"
        if name not in files:
            inventory.problems.append(f"{folder / name}: {reason}, but there are no files")
            continue
        if name not in kinds:
            reason = f"not {reason}"
        elif kind not in SERIES_TYPES:
            kind, reason = None, f"{reason} as none of the three series types"
        series.append(SeriesFiles(numbers.series(name, str(study), name), kind, reason, files[name]))
    return StudyFiles(study, folder.name, tuple(sorted(series, key=lambda each: each.kind is None)))
