"""A whole prediction run: studies found, those unfinished predicted a few at a time, the submission written.

Memory depends on how many studies are at work at a time and not on how many there are; what is finished is on the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lumbar.cli import UserError
from lumbar.engine.ranks import Ranks, choose_device
from lumbar.files import MARKER, claim, clear, locked, write_text
from lumbar.grades.submission import Rows, read_sample, write_submission
from lumbar.predict.checkpoints import INDEX, Trained, find_checkpoints
from lumbar.predict.clock import Clock
from lumbar.predict.inventory import take_inventory
from lumbar.predict.networks import OutOfMemory
from lumbar.predict.predictor import Predictor, unanswered
from lumbar.predict.record import SHARES, Records, StudyRecord, is_finished, read_record, write_record
from lumbar.predict.study_files import StudyFiles
from lumbar.tables import SAMPLE_SUBMISSION

VERSION: Final = 1
"""Stands in fingerprints for the code beside files and networks; raise it when the same input gives another answer."""

RECORDS, DATA, NOTES = "records", "data", "notes.txt"
"""What lies in the work folder: finished studies, those at work, what is to be known of the networks."""

SCRATCH: Final = re.compile(
    r"test_meta_v1\.pkl|(axial_lvl|axial_xy|sag_slice|sag_xy|weights)/[\w.]+\.(pkl|csv\.gz|csv\.pth)"
    r"|test_images/\d+/\d+/\d+\.dcm|test_images_v0[14](published)?/\d+/\d+/(\d+\.png|\.sources|\.volume)"
)
"""Files of studies at work, in a folder of theirs."""

OTHER_WORK: Final = "choose a new or empty --work"


@dataclass(frozen=True)
class Options:
    """What to predict, with what, where to, and how."""

    source: Path
    """Folder of DICOM files."""
    out: Path
    """The submission."""
    weights: Path
    """Trained networks, or packed ones."""
    work: Path
    """Folder of records and of caches at work."""
    series: Path | None
    """`lumbar.tables.TEST_SERIES`, where there is one."""
    sample: Path | None
    """`lumbar.tables.SAMPLE_SUBMISSION`, where there is one."""
    workers: int
    at_a_time: int
    """Studies that are at work together."""
    batch_size: int | None
    """Items at a time; None: as in validation."""
    gpus: list[int] | None
    """What `lumbar.engine.ranks.choose_device` takes."""
    force: bool
    """Redo studies that are finished."""
    keep: bool
    """Keep caches and tables of finished studies."""


class Run:
    """One run.

    Attributes
    ----------
    problems : list of str
        What could not be used or went wrong; each has been printed.
    sources : Counter
        Targets by source (`lumbar.predict.record.SOURCES`).
    done : int
        Studies predicted in this run; the others were finished before.
    ungraded : int
        Studies with class shares alone.
    failed : set of int
        Those of them that could not be worked on.
    clock : Clock
        Where the time went.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = choose_device(options.gpus, 0)
        self.problems: list[str] = []
        self.sources: Counter[str] = Counter()
        self.done = 0
        self.ungraded = 0
        self.failed: set[int] = set()
        self.bar: tqdm[Any] | None = None
        self.clock = Clock(self.show_stage)

    def __call__(self) -> Records:
        """Predict, write the submission, and return the records in its order.

        Raises
        ------
        UserError
            If there is nothing to predict, or nothing to predict it with.
        """
        work = self.options.work
        for folder in (work, self.options.out.absolute().parent):
            make_writable(folder)
        claim_work(work)
        with locked(work, lambda: say(f"{work}: another run is at work in it; waiting for its end")):
            rows, studies = self.find()
            with self.clock("networks"):
                self.trained = find_checkpoints(self.options.weights, self.problems)
                self.networks = fingerprint(self.trained)
            self.report_problems(0)
            todo = [study for study in studies if self.options.force or not self.is_finished(study)]
            if todo:
                if len(todo) < len(studies):
                    say(f"{work}: {len(studies) - len(todo)} of {len(studies)} studies are finished already")
                self.predict(todo)
            with self.clock("submission"):
                return self.submit(rows, studies)

    def report_problems(self, already: int) -> None:
        """Print the problems behind the first few, which have been printed."""
        for line in self.problems[already:]:
            say(line)

    def show_stage(self, stage: str) -> None:
        """Show in a terminal what is being done."""
        if self.bar is not None and sys.stderr.isatty():
            self.bar.set_postfix_str(stage)

    # ------------------------------------------------------------------------------------------------- what is wanted

    def find(self) -> tuple[Rows, list[StudyFiles]]:
        """Find the studies, and say what was recognised; also which rows the submission has."""
        options = self.options
        with self.clock("inventory"):
            inventory = take_inventory(options.source, options.series, options.work, options.workers)
        self.problems += inventory.problems
        for note in inventory.notes:
            say(note)
        for study in inventory.studies:
            if study.study_id in inventory.by_header:
                print(study.describe())
        by_id = {study.study_id: study for study in inventory.studies}
        rows = choose_rows(options, list(by_id))
        left_out = len(by_id.keys() - set(rows.studies))
        if left_out:
            say(f"{left_out} of {len(by_id)} studies are not in {options.sample}, and so not in the submission")
        return rows, [by_id.get(study_id) or StudyFiles(study_id, "", ()) for study_id in rows.studies]

    def is_finished(self, study: StudyFiles) -> bool:
        """Say whether a study was predicted from the same files with the same networks."""
        return is_finished(self.options.work / RECORDS, study.study_id, self.networks + study.fingerprint())

    # ---------------------------------------------------------------------------------------------------- predictions

    def predict(self, todo: Sequence[StudyFiles]) -> None:
        """Predict some studies, a few at a time; each is written when it is finished."""
        options = self.options
        with self.clock("networks"):
            packed = (options.weights / INDEX).is_file()
            predictor = Predictor(
                self.trained, Ranks(0, 1, self.device), options.workers, options.batch_size, self.clock, packed
            )
        self.problems += predictor.problems
        lines = [*predictor.problems, *predictor.notes]
        write_text(options.work / NOTES, "".join(f"{line}\n" for line in lines))
        for line in lines:
            say(line)
        print(f"networks: {predictor.summary()}, on {self.device.type}")
        for left in (options.work / DATA).glob(f"*/{MARKER}"):  # by a run that was killed, or kept
            clear(left.parent, SCRATCH, OTHER_WORK)
        interval = 0.1 if sys.stderr.isatty() else 30  # seconds; a log file is no place for a live bar
        with tqdm(total=len(todo), desc="studies", unit="study", mininterval=interval) as self.bar:
            for start in range(0, len(todo), options.at_a_time):
                chunk = todo[start : start + options.at_a_time]
                for study, record in zip(chunk, self.answer(predictor, chunk), strict=True):
                    # A study that could not be worked on is not finished: another run tries it again.
                    mark = "" if study.study_id in self.failed else self.networks + study.fingerprint()
                    write_record(options.work / RECORDS, replace(record, fingerprint=mark))
                    for warning in record.warnings:
                        say(f"study {study.study_id}: {warning}")
                self.done += len(chunk)
                self.bar.update(len(chunk))
        self.bar = None
        with suppress(OSError):  # kept studies lie in it
            (options.work / DATA).rmdir()

    def answer(self, predictor: Predictor, studies: Sequence[StudyFiles]) -> list[StudyRecord]:
        """Answer for a few studies; one that cannot be worked on does not cost the others."""
        options = self.options
        data = options.work / DATA / str(studies[0].study_id)
        already = len(self.problems)
        claim(data, OTHER_WORK)
        try:
            records = predictor.predict(studies, data, self.problems)
            self.report_problems(already)
            return records
        except OutOfMemory:
            raise
        except OSError as error:  # files that cannot be read do not come this far
            where = error.filename or options.work
            raise UserError(f"{where}: cannot be written ({error.strerror}); finished studies are kept") from error
        except Exception as error:  # whatever a strange file may do to a library
            del self.problems[already:]
            if len(studies) > 1:
                return [self.answer(predictor, [study])[0] for study in studies]
            reason = f"it cannot be worked on ({type(error).__name__})"
            self.problems.append(f"study {studies[0].study_id}: {reason}: {' '.join(str(error).split())}")
            self.report_problems(already)
            self.failed.add(studies[0].study_id)
            return [unanswered(studies[0], None, reason)]
        finally:
            if not options.keep:
                clear(data, SCRATCH, OTHER_WORK)

    def submit(self, rows: Rows, studies: Sequence[StudyFiles]) -> Records:
        """Write the submission from the records of all studies."""
        folder = self.options.work / RECORDS
        answers: dict[int, NDArray[np.float64]] = {}
        for study in studies:
            record = read_record(folder / f"{study.study_id}.npz", pictures=False)
            answers[study.study_id] = record.probabilities
            self.sources.update(record.source)
            self.ungraded += set(record.source) == {SHARES}
        write_submission(self.options.out, rows, answers)
        notes = self.options.work / NOTES
        lines = notes.read_text(encoding="utf-8", errors="replace").splitlines() if notes.is_file() else []
        return Records(folder, list(answers), lines)


def fingerprint(trained: Mapping[str, Sequence[Trained]]) -> str:
    """Fingerprint of networks: their configs, and names, sizes and times of their files."""
    parts: list[object] = [VERSION]
    for each in (each for members in trained.values() for each in members):
        stat = each.path.stat()
        parts.append((each.path.name, each.cfg, stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def claim_work(work: Path) -> None:
    """Mark the work folder as such; one of an earlier version, which has no mark, is known by its records.

    Raises
    ------
    UserError
        If it holds something else.
    """
    names = {path.name for path in work.iterdir()}
    if RECORDS in names and names <= {RECORDS, DATA, NOTES}:
        (work / MARKER).touch()
    claim(work, OTHER_WORK)


def make_writable(folder: Path) -> None:
    """Make a folder if there is none.

    Raises
    ------
    UserError
        If it cannot be made or written to: better now than after hours.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another --out or --work", 2) from error
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"{folder}: cannot be written to; choose another --out or --work", status=2)


def choose_rows(options: Options, found: Sequence[int]) -> Rows:
    """Choose the rows of the submission: those of the sample; without one, all of the studies found.

    A sample that lies beside the images counts if it lists every study found.
    """
    if options.sample is not None:
        return read_sample(options.sample)
    beside = options.source.absolute().parent / SAMPLE_SUBMISSION.path
    if beside.is_file():
        rows = read_sample(beside)
        if set(found) <= set(rows.studies):
            say(f"rows as in {beside}")
            return rows
        say(f"{beside}: lists other studies than {options.source}, so it is not used")
    return Rows.of(found)


def say(line: str) -> None:
    """Print a line on stderr without tearing the progress bar."""
    tqdm.write(line, file=sys.stderr)
