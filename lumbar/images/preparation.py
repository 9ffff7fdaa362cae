"""Preparation of the images: DICOM folders in; two 8-bit caches and the metadata table out, each file read once.

A cache mirrors its image folder: what is there and unchanged is kept, what is new or changed is converted, and what has
lost its source is removed. Everything written depends on the DICOM files alone and appears under its name only when
it is complete, so that a run killed at any moment and run again ends with the same bytes as one that was not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from lumbar import tables
from lumbar.cli import UserError, parser, require_dir
from lumbar.files import TEMPORARY, locked
from lumbar.images.cache import CachedSeries, Source, cache_dir, is_identifier, is_instance, published
from lumbar.images.dicom import CRASHES, DicomError, DicomFile, MultiFrameError
from lumbar.images.display import Turn, in_other_plane
from lumbar.images.numbering import dicom_files, number_frames
from lumbar.parallel import alone, ordered_map
from lumbar.table_checks import LARGEST_INSTANCE

LABELLED: Final = "train_images"
"""The image folder whose slices have labels, in pixels of the slices as they are stored."""

IMAGES: Final = {"train_images": tables.META, "test_images": tables.TEST_META}
"""The image folders, and the metadata table of each."""

SCOUT: Final = "lies in another plane than its series (a scout?); left out"
"""What is said of such a slice."""


@dataclass(frozen=True)
class SeriesJob:
    """What to do for one series: the unit of work of a process."""

    images: Path
    study: str
    series: str
    versions: tuple[str, ...]
    force: bool
    crashing: frozenset[Path] = frozenset()
    """Files that are known to crash a decoder, not to be touched again."""

    @property
    def folder(self) -> Path:
        """The DICOM files; absent where only a cache is left of the series."""
        return self.images / self.study / self.series


@dataclass
class Report:
    """What happened, to one series or to all."""

    done: int = 0
    kept: int = 0
    removed: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)
    scouts: list[Path] = field(default_factory=list)
    """Slices in another plane than their series, left out: nothing is lost that anyone wants."""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Add the counts, failures and rows of another report."""
        self.done += other.done
        self.kept += other.kept
        self.removed += other.removed
        self.failures += other.failures
        self.scouts += other.scouts
        self.rows += other.rows


def prepare_series(job: SeriesJob) -> Report:
    """Bring the caches of one series up to date and read its metadata.

    A series whose folder is gone loses its cached slices. The report has a metadata row for each usable slice.
    """
    report = Report()
    try:
        files = dicom_files(job.folder)
    except OSError as error:
        return Report(failures=[(job.folder, f"cannot be read ({error.strerror}); its cached slices stay")])
    caches = [
        CachedSeries(cache_dir(job.images, version) / job.study / job.series, version, job.force)
        for version in job.versions
    ]
    present: set[int] = set()
    several: list[MultiFrameError] = []
    used: list[Path] = []
    for path in files:
        if not is_instance(path.stem) or int(path.stem) in present:
            reason = (
                f"no instance number (up to {LARGEST_INSTANCE}), or a second file with it; expected for example 12.dcm"
            )
            report.failures.append((path, reason))
            continue
        present.add(int(path.stem))
        try:
            if path in job.crashing:
                raise DicomError(path, CRASHES)
            _prepare_slice(job, DicomFile(path), int(path.stem), None, caches, report)
            used.append(path)
        except MultiFrameError as error:
            present.discard(int(path.stem))
            several.append(error.with_traceback(None))  # which would keep the whole file
        except DicomError as error:
            report.failures.append((path, error.reason))
    file: DicomFile | None = None
    for instance, path, frame in number_frames(several, max(present, default=0)):
        present.add(instance)
        try:
            if file is None or file.path != path:
                file = None  # never two in memory
                file = DicomFile(path)
            _prepare_slice(job, file, instance, frame, caches, report)
            used.append(path)
        except DicomError as error:
            report.failures.append((path, f"frame {frame + 1}: {error.reason}"))
    others = in_other_plane([row["ImageOrientationPatient"] for row in report.rows])
    for path, row, other in zip(used, report.rows, others, strict=True):
        if other:
            report.scouts.append(path)
            for cache in caches:
                cache.leave_out(row["instance_number"])
    report.rows = [row for row, other in zip(report.rows, others, strict=True) if not other]
    report.removed = len({instance for cache in caches for instance in cache.finish()} - present)
    return report


def _prepare_slice(
    job: SeriesJob, file: DicomFile, instance: int, frame: int | None, caches: Sequence[CachedSeries], report: Report
) -> None:
    """Bring one slice up to date, and report its metadata and whether it had to be decoded."""
    source = Source.of(file, frame)
    stale = [cache for cache in caches if not cache.keep(instance, source)]
    image = None if caches and not stale else file.slice(frame)
    tags = image.tags if image else file.tags(frame)
    turn = Turn.of(tags)
    if turn:
        if job.images.name == LABELLED:
            raise DicomError(file.path, "is stored mirrored or turned, which the points of its labels do not allow for")
        source = source.changed(repr(turn))
        stale = [cache for cache in caches if not cache.keep(instance, source)]
        image = turn.image(image or file.slice(frame)) if stale else None
        tags = turn.tags(tags)
    for cache in stale:
        assert image is not None
        cache.write(instance, source, image)
    changed = bool(stale) or not caches
    report.done += changed
    report.kept += not changed
    report.rows.append(tags | {"study_id": int(job.study), "series_id": int(job.series), "instance_number": instance})


def _isolate(job: SeriesJob) -> Report:
    """Prepare a series that crashed its process: find the files that do so, and leave them out."""
    crashing = frozenset(path for path in dicom_files(job.folder) if not alone(_survives, path, lost=lambda _: False))
    lost = Report(failures=[(job.folder, "crashes the process that converts it, or takes more memory than there is")])
    return alone(prepare_series, replace(job, crashing=crashing), lambda _: lost)


def _survives(path: Path) -> bool:
    """Decode a file; the process that calls this may not come to its end."""
    with suppress(DicomError):
        file = DicomFile(path)
        try:
            file.slice()
        except MultiFrameError as error:
            for frame in range(len(error.frames)):
                file.slice(frame)
    return True


def prepare_all(
    jobs: Sequence[SeriesJob], workers: int, description: str = "series", quiet: bool = False
) -> Iterator[Report]:
    """Prepare many series on several processes: one report each, in their order.

    A file that crashes its process is found and left out. `description` heads the progress bar, unless `quiet`.
    """
    return ordered_map(prepare_series, jobs, workers, description, "series", lost=_isolate, quiet=quiet)


def prepare_images(
    images: Path, versions: Sequence[str], table: tables.Table | None, workers: int, force: bool = False
) -> Report:
    """Bring the caches and the metadata table of an image folder up to date.

    Parameters
    ----------
    images : Path
        ``<study>/<series>/<instance>.dcm``, for example ``datamount/train_images``. The caches go beside it.
    versions : sequence of str
        The caches to make, of ``v01 v04``.
    table : Table or None
        The metadata table to write beside it, if any.
    workers : int
        Processes.
    force : bool
        Convert also what has not changed.

    Returns
    -------
    Report
        Of all series; each failure has been printed on stderr.

    Raises
    ------
    UserError
        If the folder holds no series, or an output cannot be written.
    """
    total = Report()
    with locked(images, lambda: _say(f"{images}: another run is at work on it; waiting for its end")):
        present = list(_series(images, total.failures))
        if not present:
            raise UserError(f"{images}: holds no folder <study number>/<series number>/ of DICOM files", status=2)
        cached = {key for version in versions for key in _series(cache_dir(images, version), [])}
        jobs = [SeriesJob(images, *key, tuple(versions), force) for key in sorted({*present, *cached})]
        for path, reason in total.failures:
            _say(f"{path}: {reason}")
        try:
            for report in prepare_all(jobs, workers, images.name):
                for path, reason in [*report.failures, *((path, SCOUT) for path in report.scouts)]:
                    _say(f"{path}: {reason}")
                total.add(report)
            if table is not None:
                _write_metadata(total.rows, images.parent, table)
        except OSError as error:
            raise UserError(
                f"{error.filename}: cannot be written ({error.strerror}); finished files are kept"
            ) from error
    return total


def _series(folder: Path, misnamed: list[tuple[Path, str]]) -> Iterator[tuple[str, str]]:
    """List the series (study, series) of a folder of images; hidden entries and plain files are ignored."""
    for path in _folders(folder, misnamed):
        for series in _folders(path, misnamed):
            yield path.name, series.name


def _folders(folder: Path, misnamed: list[tuple[Path, str]]) -> Iterator[Path]:
    """List the folders whose names are identifiers; note the others, and those that may not be read."""
    try:
        present = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        misnamed.append((folder, f"cannot be read ({error.strerror})"))
        return
    for path in present:
        if path.name.startswith(".") or not path.is_dir():
            continue
        if is_identifier(path.name):
            yield path
        else:
            misnamed.append((path, "the folder name is no study or series number; expected <study>/<series>/"))


def _write_metadata(rows: Sequence[dict[str, Any]], data: Path, table: tables.Table) -> None:
    """Write the metadata table, sorted by series and instance."""
    for leftover in data.glob(f".{table.path}.*{TEMPORARY}"):
        leftover.unlink(missing_ok=True)
    frame = pd.DataFrame(list(rows), columns=list(table.columns))
    tables.write_table(frame.sort_values(tables.SLICE, ignore_index=True), data, table)


def _say(line: str) -> None:
    """Print a line on stderr without tearing the progress bar."""
    tqdm.write(line, file=sys.stderr)


def main(description: str | None, argv: Sequence[str] | None, versions: Sequence[str], metadata: bool) -> int:
    """Run one of the preparation scripts, which differ in the caches and in whether the metadata table is made.

    `description` is the script's docstring, `argv` its command line. Returns the exit status: 1 if any file failed.
    """
    arguments = parser(description or "")
    arguments.add_argument(
        "--images", nargs="+", choices=list(IMAGES), metavar="NAME",
        help=f"image folders to prepare, of {', '.join(IMAGES)} (default: those that are there)",
    )  # fmt: skip
    arguments.add_argument(
        "--as-published", action="store_true",
        help="make the pictures that the published networks were trained on, in folders of their own "
        "(<images>_v01published; for published weights alone, see docs/kaggle.md)",
    )  # fmt: skip
    arguments.add_argument("--force", action="store_true", help="convert also what has not changed")
    options = arguments.parse_args(argv)
    hint = "Get it with scripts/download_data.sh, or make a synthetic one with scripts/make_phantom.py"
    require_dir(options.data, "the data folder", hint)
    names = options.images or [name for name in IMAGES if (options.data / name).is_dir()] or list(IMAGES)[:1]
    versions = [published(version) for version in versions] if options.as_published else versions
    failed = False
    for name in dict.fromkeys(names):
        images = require_dir(options.data / name, "<study>/<series>/<instance>.dcm", hint)
        table = IMAGES[name] if metadata else None
        start = time.perf_counter()
        report = prepare_images(images, versions, table, options.workers, options.force)
        seconds = time.perf_counter() - start
        scouts = f", {len(report.scouts)} scouts left out" if report.scouts else ""
        outputs = [cache_dir(images, version).name for version in versions] + ([table.path] if table else [])
        print(
            f"{images}: {report.done} slices done, {report.kept} kept, {len(report.failures)} failed, "
            f"{report.removed} removed{scouts} in {seconds:.1f} s "
            f"({(report.done + report.kept) / seconds:.0f} slices/s); {' '.join(outputs)}"
        )
        failed |= bool(report.failures)
    return int(failed)
