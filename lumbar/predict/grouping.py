"""Files to studies and series by their headers, in whatever layout they lie."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from lumbar.images.cache import is_identifier
from lumbar.images.dicom import DicomError
from lumbar.parallel import ordered_map
from lumbar.predict.headers import Header, read_header
from lumbar.predict.recognition import choose, recognise
from lumbar.predict.study_files import Numbers, SeriesFiles, StudyFiles

BATCH: Final = 64
"""Headers that a process reads at a time."""

LARGEST_INSTANCE: Final = 2**31 - 1
"""The largest InstanceNumber that DICOM allows."""

Key = tuple[str, ...]


def read_headers(paths: Sequence[Path], workers: int, problems: list[str]) -> list[Header]:
    """Read the headers of the DICOM files among some files, as far as they belong to a series.

    `problems` gets one line per file that is named ``.dcm``, or is MRI, and cannot be used; other files that are no
    DICOM are passed over in silence.
    """
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    headers = []
    for batch in ordered_map(_try_headers, batches, workers, "headers", "batch") if batches else ():
        for found in batch:
            if isinstance(found, str):
                problems.append(found)
            elif found.is_image or (found.series and found.modality not in ("MR", "")):
                headers.append(found)
            elif found.modality == "MR" or found.path.suffix.lower() == ".dcm":
                problems.append(f"{found.path}: holds no pixel data (not an image, or cut off before it)")
    return headers


def _try_headers(paths: Sequence[Path]) -> list[Header | str]:
    """Read some headers, or the reason why not."""
    found: list[Header | str] = []
    for path in paths:
        try:
            found.append(read_header(path))
        except DicomError as error:
            if path.suffix.lower() == ".dcm" or error.reason.startswith("cannot be read"):
                found.append(str(error))
    return found


def group_studies(root: Path, headers: Iterable[Header], numbers: Numbers) -> list[StudyFiles]:
    """Group files into studies and series, and recognise the series.

    A study is what has one StudyInstanceUID and one PatientID, and in Kaggle's layout one study folder; files without
    either identifier go by their folders under `root`. A study takes the number of its folder if that has one; of
    several studies in one folder the largest does.
    """
    groups: dict[Key, list[Header]] = defaultdict(list)
    for header in headers:
        groups[_study_key(root, header)].append(header)
    folders = {key: _study_folder(group) for key, group in groups.items()}
    in_folder: dict[Path, list[Key]] = defaultdict(list)
    for key in sorted(groups, key=lambda key: (-len(groups[key]), key)):
        in_folder[folders[key]].append(key)
    above = {parent for folder in in_folder for parent in folder.parents}
    studies = []
    for key, group in sorted(groups.items()):
        folder = folders[key]
        largest = in_folder[folder][0] == key and folder not in above
        number = numbers.study(folder.name if largest else "", *key)
        place = os.path.relpath(folder, root)
        count = len(in_folder[folder])
        shared = f"its folder holds {count} patients or examinations, told apart by their identifiers"
        studies.append(StudyFiles(number, place, _group_series(number, group, numbers), (shared,) if count > 1 else ()))
    return studies


def _study_key(root: Path, header: Header) -> Key:
    """Give what all files of a study share."""
    folder = header.path.parent
    if _as_kaggle(folder):
        return str(folder.parent), header.study, header.patient
    if header.study or header.patient:
        return header.study, header.patient
    return (str(folder if root in (folder, folder.parent) else folder.parent),)


def _as_kaggle(folder: Path) -> bool:
    """Say whether a folder of files is named ``<study number>/<series number>``."""
    return is_identifier(folder.name) and is_identifier(folder.parent.name)


def _study_folder(group: Sequence[Header]) -> Path:
    """Find the folder of a study: that of its series folders, or the innermost that holds all its files."""
    folder = group[0].path.parent
    if _as_kaggle(folder):
        return folder.parent
    return Path(os.path.commonpath({str(header.path.parent) for header in group}))


def _group_series(study_id: int, group: Sequence[Header], numbers: Numbers) -> tuple[SeriesFiles, ...]:
    """Group a study's files into series; those used first."""
    parts: dict[Key, list[Header]] = defaultdict(list)
    for header in group:
        folder = str(header.path.parent)
        if header.series and not _as_kaggle(header.path.parent):
            folder = ""
        parts[folder, header.series or f"{header.text} {header.echo}"].append(header)
    keys = sorted(parts)
    by_folder: dict[Path, set[Key]] = defaultdict(set)
    for key in keys:
        for header in parts[key]:
            by_folder[header.path.parent].add(key)
    series = []
    for key, found in zip(
        keys,
        choose([recognise([each for header in parts[key] for each in header.slices]) for key in keys]),
        strict=True,
    ):
        within = {header.path.parent for header in parts[key]}
        alone = len(within) == 1 and by_folder[min(within)] == {key}
        number = numbers.series(min(within).name if alone else "", str(study_id), *key)
        several = any(header.frames for header in parts[key])
        slices = sum(max(1, len(header.frames)) for header in parts[key]) if several else 0
        series.append(SeriesFiles(number, found.kind, found.reason, _instances(parts[key]), slices))
    return tuple(sorted(series, key=lambda each: (each.kind is None, each.series_id)))


def _instances(headers: Sequence[Header]) -> dict[int, Path]:
    """Give the slices of a series their file names (Kaggle's layout), else InstanceNumber, else their order.

    The same image twice counts once.
    """
    single = list({(header.image or header.path, header.instance): header for header in headers}.values())
    stems = [header.path.stem for header in single]
    if _as_kaggle(single[0].path.parent) and all(map(is_identifier, stems)):
        numbers = [int(stem) for stem in stems]
    else:
        numbers = [-1 if header.instance is None else header.instance for header in single]
    order = sorted(range(len(single)), key=lambda n: (numbers[n], single[n].path))
    if len(set(numbers)) < len(numbers) or min(numbers) < 0 or max(numbers) > LARGEST_INSTANCE:
        return {rank: single[n].path for rank, n in enumerate(order, start=1)}
    return {numbers[n]: single[n].path for n in order}
