"""Files to studies and series by their headers, in whatever layout they lie."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from lumbar.images.cache import is_identifier, is_instance
from lumbar.images.dicom import CRASHES, DicomError
from lumbar.images.frames import order_frames
from lumbar.parallel import alone, ordered_map
from lumbar.predict.headers import Header, read_header
from lumbar.predict.recognition import FEWEST_SLICES, choose, recognise
from lumbar.predict.study_files import Numbers, SeriesFiles, StudyFiles
from lumbar.table_checks import LARGEST_INSTANCE

BATCH: Final = 64
"""Headers that a process reads at a time."""

NEXT_ECHO: Final = 1.2
"""Files of one series whose echo times differ by a greater factor are different echoes: proton density and T2."""

Key = tuple[str, ...]


def read_headers(paths: Sequence[Path], workers: int, problems: list[str], notes: list[str]) -> list[Header]:
    """Read the headers of the DICOM files among some files, as far as they belong to a series.

    `problems` gets one line per file that is named ``.dcm``, or is MRI, and cannot be used; `notes` one line that
    counts the others that hold no image.
    """
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    headers, others = [], []
    for batch in ordered_map(_try_headers, batches, workers, "headers", "batch", lost=_try_alone, quiet=not batches):
        for found in batch:
            named = found.path.suffix.lower() == ".dcm"
            if isinstance(found, DicomError):
                if named or found.reason.startswith("cannot be read"):
                    problems.append(str(found))
                else:
                    others.append(found.path)
            elif found.is_image or (found.series and found.modality not in ("MR", "")):
                headers.append(found)
            elif found.modality == "MR" or named:
                problems.append(f"{found.path}: holds no pixel data (not an image, or cut off before it)")
            else:
                others.append(found.path)
    if others:
        notes.append(f"{len(others)} files are no DICOM images and were passed over, the first: {others[0]}")
    return headers


def _try_headers(paths: Sequence[Path]) -> list[Header | DicomError]:
    """Read some headers, or the reason why not."""
    found: list[Header | DicomError] = []
    for path in paths:
        try:
            found.append(read_header(path))
        except DicomError as error:
            found.append(error)
    return found


def _try_alone(paths: Sequence[Path]) -> list[Header | DicomError]:
    """Read headers some of which crash the process that reads them."""

    def lost(files: Sequence[Path]) -> list[Header | DicomError]:
        return [DicomError(path, CRASHES) for path in files]

    return [alone(_try_headers, [path], lost)[0] for path in paths]


def group_studies(root: Path, headers: Iterable[Header], numbers: Numbers) -> list[StudyFiles]:
    """Group files into studies and series, and recognise the series.

    A study is what has one StudyInstanceUID, in Kaggle's layout one study folder; files without that identifier go by
    PatientID, or else by their folders under `root`. A study takes the number of its folder if that has one; of
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
        warnings = []
        if count > 1:
            warnings.append(f"its folder holds {count} patients or examinations, told apart by their identifiers")
        patients = len({header.patient for header in group} - {""})
        if patients > 1:
            warnings.append(f"its files name {patients} patients; they are taken for one study all the same")
        studies.append(StudyFiles(number, place, _group_series(number, group, numbers), tuple(warnings)))
    return studies


def _study_key(root: Path, header: Header) -> Key:
    """Give what all files of a study share."""
    folder = header.path.parent
    if _as_kaggle(folder):
        return (str(folder.parent),)
    if header.study or header.patient:
        return "study" if header.study else "patient", header.study or header.patient
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
    parts = _parts(group)
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


def _parts(group: Sequence[Header]) -> dict[Key, list[Header]]:
    """Part a study's files by series, and by echo time within each; files without one go with the longest.

    In Kaggle's layout a folder is a series, unless it holds several that are each a stack.
    """
    counts = Counter((header.path.parent, header.series) for header in group)
    changing = {folder for (folder, _), count in counts.items() if count < FEWEST_SLICES}  # from file to file
    series: dict[Key, list[Header]] = defaultdict(list)
    for header in group:
        folder = header.path.parent
        if _as_kaggle(folder):
            key: Key = (str(folder), "" if folder in changing else header.series)
        else:
            key = ("", header.series) if header.series else (str(folder), header.text)
        series[key].append(header)
    parts: dict[Key, list[Header]] = defaultdict(list)
    for key, headers in series.items():
        echo, part = math.inf, key
        for header in sorted(headers, key=lambda header: (math.isnan(header.echo), header.echo)):
            if header.echo > NEXT_ECHO * echo:
                part = (*key, f"{header.echo:g}")
            echo = header.echo
            parts[part].append(header)
    return parts


def _instances(headers: Sequence[Header]) -> dict[int, Path]:
    """Give the slices of a series their file names (Kaggle's layout), else InstanceNumber, else their order.

    Their order is that along the stack, where numbers are absent or repeat. The same image twice counts once.
    """
    single = list(
        {(header.image or header.path, header.instance, header.position): header for header in headers}.values()
    )
    stems = [header.path.stem for header in single]
    if _as_kaggle(single[0].path.parent) and all(map(is_instance, stems)):
        numbers = [int(stem) for stem in stems]
    else:
        numbers = [-1 if header.instance is None else header.instance for header in single]
    ordered = sorted(zip(numbers, single, strict=True), key=lambda each: (each[0], each[1].path))
    if len(set(numbers)) == len(numbers) and min(numbers) >= 0 and max(numbers) <= LARGEST_INSTANCE:
        return {number: header.path for number, header in ordered}
    frames = [
        {"ImagePositionPatient": header.position, "ImageOrientationPatient": header.orientation}
        for _, header in ordered
    ]
    return {rank: ordered[place][1].path for rank, place in enumerate(order_frames(frames), start=1)}
