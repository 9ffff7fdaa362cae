"""Files of new studies: what a study consists of, how it is numbered, and how a folder is searched."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lumbar.cli import UserError
from lumbar.images.cache import is_identifier

DUMMY_SERIES: Final = 999999999
"""What configs call a series that is not there (`dummy_series_id`): no series may have this number."""


@dataclass(frozen=True)
class SeriesFiles:
    """One series: its number, its type (None: ignored), why, and its files by instance number."""

    series_id: int
    kind: str | None
    reason: str
    files: dict[int, Path]
    slices: int = 0
    """In the files, where there are more than files; 0: one in each."""

    @property
    def count(self) -> int:
        """Slices in the files."""
        return self.slices or len(self.files)


@dataclass(frozen=True)
class StudyFiles:
    """One study: its number, the folder that it lies in, relative to the folder given, its series, and warnings."""

    study_id: int
    folder: str
    series: tuple[SeriesFiles, ...]
    warnings: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[SeriesFiles, ...]:
        """The series that are not ignored."""
        return tuple(series for series in self.series if series.kind)

    def describe(self) -> str:
        """Say in one line what the series were taken for."""
        used = [f"{each.kind} {each.series_id} ({each.count} slices; {each.reason})" for each in self.used]
        ignored = [
            f"{each.series_id} ({len(each.files)} files; {each.reason})" for each in self.series if not each.kind
        ]
        parts = [", ".join(used) or "no series of use", *([f"ignored: {', '.join(ignored)}"] if ignored else [])]
        return f"study {self.study_id} in {self.folder}: {'; '.join(parts)}"

    def fingerprint(self) -> str:
        """Fingerprint of what a prediction depends on: series, their types, sizes and times of their files."""
        parts: list[object] = [self.study_id]
        for series in self.used:
            parts += [series.series_id, series.kind]
            for instance, path in sorted(series.files.items()):
                try:
                    stat = path.stat()
                    parts += [instance, stat.st_size, stat.st_mtime_ns]
                except OSError:
                    parts += [instance, None]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class Numbers:
    """Numbers of studies and series, none given twice."""

    def __init__(self) -> None:
        self._studies: set[int] = set()
        self._series = {DUMMY_SERIES}

    def study(self, name: str, *key: str) -> int:
        """Give a study its folder's name where that is a free number, else a hash of its key."""
        return _number(self._studies, name, key)

    def series(self, name: str, *key: str) -> int:
        """Give a series a number in the same way."""
        return _number(self._series, name, key)


def _number(taken: set[int], name: str, key: Sequence[str]) -> int:
    number = int(name) if is_identifier(name) else -1
    text = "\n".join(key)
    while number < 0 or number in taken:
        text = hashlib.sha256(os.fsencode(text)).hexdigest()
        number = 10**8 + int(text[:15], 16) % (9 * 10**8)  # nine digits
    taken.add(number)
    return number


def list_files(root: Path, leave_out: Path, problems: list[str]) -> list[Path]:
    """List all files under a folder, sorted, but hidden ones and those in `leave_out`; both paths are absolute.

    Links are followed to files, and to folders that lie under `root` too; nothing is listed twice. `problems` gets one
    line per folder that cannot be read, and per link to a folder elsewhere, which may be another patient's or have no
    end.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected DICOM files in it", status=2)

    def note(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read ({error.strerror})")

    found: list[Path] = []
    links: list[Path] = []
    walked: set[str] = set()
    pending = [root]
    while pending:
        for folder, names, files in os.walk(pending.pop(0), onerror=note):
            real = os.path.realpath(folder)
            if real in walked or Path(folder) == leave_out:
                names.clear()
                continue
            walked.add(real)
            names[:] = sorted(name for name in names if not name.startswith((".", "__MACOSX")))
            for path in (Path(folder, name) for name in names):
                if path.is_symlink() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
                    pending.append(path)
                elif path.is_symlink():
                    problems.append(f"{path}: a link to a folder elsewhere, which is not followed; give that folder")
            for path in (Path(folder, name) for name in files if not name.startswith(".")):
                (links if path.is_symlink() else found).append(path)
    listed = {os.path.realpath(path) for path in found} if links else set()
    for path in sorted(links):
        real = os.path.realpath(path)
        if real not in listed:
            listed.add(real)
            found.append(path)
    return sorted(found)
