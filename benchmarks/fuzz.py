"""What damaged files and tables do to the commands that read them: mutants of a phantom's, run as a user runs them.

Files are damaged in bits, tags and length and given to prepare.py and predict.py; tables in cells, rows, separators,
encoding and length and given to make_folds.py, check_data.py and make_sag_loc_labels_part2.py. A fault is: a traceback
or a library's warning on the screen, a run over 60 s, a process over 1 GB, a mutant that is neither used nor named,
pixels other than pydicom's, a change of what is undamaged or of a stranger's file, or another answer without a word.
The exit status is 1 if there is one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from common import ROOT, make_phantom
from placeholder_weights import write_weights
from pydicom.uid import JPEG2000Lossless, RLELossless
from tqdm import tqdm

from lumbar.cli import cores, parser, positive_int, run
from lumbar.images.dicom import DicomError, read_slice

SECONDS: Final = 60.0
MEMORY: Final = 1 << 20
"""KiB: what one process may take."""

AT_A_TIME: Final = 100
"""Files of one run."""

TAGS: Final[dict[str, Sequence[object]]] = {
    "Rows": (0, 1, 50, 65535), "Columns": (0, 1, 65535), "BitsAllocated": (0, 1, 7, 8, 12, 32, 64),
    "BitsStored": (0, 1, 8, 12, 13, 15, 17, 33), "HighBit": (0, 7, 11, 12, 40), "PixelRepresentation": (0, 1, 2),
    "SamplesPerPixel": (0, 3), "PhotometricInterpretation": ("", "MONOCHROME1", "RGB", "PALETTE COLOR", "?"),
    "NumberOfFrames": (-1, 0, 2, 1000000), "WindowWidth": (0, -5, 1e-300, 1e308), "WindowCenter": (1e300, "x"),
    "RescaleSlope": (0, 1e308, 1e-300, -1, "x"), "RescaleIntercept": (1e308, "x"),
    "PixelSpacing": ([0, 0], [1], [-1, 1]),
    "ImageOrientationPatient": ([0] * 6, [1, 0, 0, 1, 0, 0], [1, 2, 3], [1, 0, 0, 0, 0, 1]),
    "ImagePositionPatient": ([1e308] * 3, [0], ["x", 0, 0]), "InstanceNumber": (-1, "x", 99999999999999),
    "SeriesInstanceUID": ("", "x"), "StudyInstanceUID": ("", "1.2"), "PixelData": (b"", b"\0\0", bytes(1 << 20)),
    "EchoTime": ("x", -1), "Modality": ("CT", ""),
}  # fmt: skip


@dataclass
class Outcome:
    """What was tried, by kind of command and exit status, and the faults."""

    runs: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak: int = 0
    """Memory of the largest process, KiB; only where there is /proc."""

    def command(self, name: str, *options: object) -> tuple[int, str]:
        """Run a command of the repository; note what no input may lead to. Return its exit status and messages."""
        with tempfile.TemporaryFile() as log:
            argv = [sys.executable, ROOT / name, *map(str, options)]
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
            end = time.monotonic() + SECONDS
            while process.poll() is None:
                self.peak = max([self.peak, *memory(process.pid)])
                if time.monotonic() > end:
                    os.killpg(process.pid, signal.SIGKILL)
                    self.faults.append(f"{name}: still at work after {SECONDS:g} s")
                time.sleep(0.05)
            log.seek(0)
            text = log.read().decode(errors="replace").replace("\r", "\n")
        status = process.wait()
        self.runs[f"{name} exit status {status}"] += 1
        places = [text.index(word) for word in ("Traceback", "Warning:", "panicked") if word in text]
        if status not in (0, 1, 2) or places:
            place = max(0, min(places, default=len(text)) - 500)
            self.faults.append(f"{name}: exit status {status}, {text[place : place + 1500]}")
        return status, text


def memory(session: int) -> Iterator[int]:
    """Tell the greatest memory that each process of a session has taken so far, KiB."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if os.getsid(int(folder.name)) == session:
                words = (folder / "status").read_text().split()
                yield int(words[words.index("VmHWM:") + 1]) if "VmHWM:" in words else 0


def damaged_files(originals: Sequence[bytes], count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Make mutants of DICOM files."""
    kinds: list[Callable[[bytes, np.random.Generator], bytes]] = [flip_bits, flip_header, set_tag, cut, replace_part]
    for number in range(count):
        original = originals[int(rng.integers(len(originals)))]
        yield kinds[number % len(kinds)](original, rng)


def flip_bits(content: bytes, rng: np.random.Generator, end: int | None = None) -> bytes:
    damaged = np.frombuffer(content, np.uint8).copy()
    places = rng.integers(0, min(end or len(damaged), len(damaged)), int(rng.integers(1, 40)))
    damaged[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
    return damaged.tobytes()


def flip_header(content: bytes, rng: np.random.Generator) -> bytes:
    return flip_bits(content, rng, 1500)


def set_tag(content: bytes, rng: np.random.Generator) -> bytes:
    """Give a tag a value that it should not have, or none."""
    dataset = pydicom.dcmread(BytesIO(content))
    keyword = str(rng.choice(list(TAGS)))
    values = [None, *TAGS[keyword]]
    value = values[int(rng.integers(len(values)))]
    written = BytesIO()
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings(action="ignore"):
            if value is None:
                del dataset[keyword]
            else:
                dataset.add_new(keyword, pydicom.datadict.dictionary_VR(keyword), value)
            dataset.save_as(written)
    except Exception:  # pydicom cannot write it
        return flip_bits(content, rng)
    return written.getvalue()


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(0, len(content)))]


def replace_part(content: bytes, rng: np.random.Generator) -> bytes:
    """Leave out a part, or put noise in its place."""
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 2000))
    noise = rng.bytes(int(rng.integers(0, 2)) * length)
    return content[:start] + noise + content[start + length :]


def damaged_tables(original: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Make mutants of a CSV table that none can take for whole."""
    lines = original.decode().splitlines()
    for number in range(count):
        row = int(rng.integers(1, len(lines)))
        cells = lines[row].split(",")
        column = int(rng.integers(len(cells)))
        word = ("", "x", "-1", "1.5", "1e17", "9" * 20, "nan", "\0", "é", '"')[int(rng.integers(10))]
        spoilt = ",".join([*cells[:column], word, *cells[column + 1 :]])
        yield [
            "\n".join([*lines[:row], spoilt, *lines[row + 1 :]]).encode(),
            "\n".join([*lines[:row], lines[row][: int(rng.integers(1, len(lines[row])))]]).encode(),
            original.replace(b",", b";\t"[int(rng.integers(2)) :][:1]),
            original.decode().encode(("utf-16", "utf-32")[int(rng.integers(2))]),
            flip_bits(original, rng, original.index(b"\n")),  # in a cell, another digit is another table
            rng.bytes(300),
            "\n".join([*lines[:row], ",".join(cells[:-1]), *lines[row:]]).encode(),
        ][number % 7]


class Fuzz:
    """The undamaged data, and the commands that are run on it with mutants beside or in place of it."""

    def __init__(self, folder: Path, outcome: Outcome, workers: int) -> None:
        self.folder, self.outcome, self.workers = folder, outcome, workers
        self.data = folder / "data"
        make_phantom(self.data, 2, 1)
        write_weights(
            folder / "weights", {"backbone": "test_efficientnet.r160_in1k", "img_size": "32", "hidden_dim": "8"}
        )
        self.originals = self._originals()

    def _originals(self) -> list[bytes]:
        """Take one slice of each series of a study; some compressed."""
        study = min((self.data / "train_images").iterdir())
        plain = [sorted(series.iterdir())[5].read_bytes() for series in sorted(study.iterdir())]
        packed = []
        for syntax in (RLELossless, JPEG2000Lossless):
            dataset, written = pydicom.dcmread(BytesIO(plain[0])), BytesIO()
            dataset.compress(syntax)
            dataset.save_as(written)
            packed.append(written.getvalue())
        return plain + packed

    def files(self, mutants: Sequence[bytes]) -> None:
        """Give damaged files to prepare.py and predict.py, beside undamaged ones."""
        data, out = self.folder / "mutants", self.folder / "out"
        for old in (data, out):
            shutil.rmtree(old, ignore_errors=True)
        images = data / "train_images"
        good = min((self.data / "train_images").iterdir())
        shutil.copytree(good, images / good.name)
        strangers = [data / "thesis.txt", images / "thesis.txt", data / "train_images_v01" / "77" / "5" / "thesis.txt"]
        for path in strangers:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("mine")
        paths = [images / "77" / str(1 + number // 20) / f"{number}.dcm" for number in range(len(mutants))]
        for path, content in zip(paths, mutants, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        text = self.outcome.command("scripts/prepare.py", "--data", data, "--workers", self.workers)[1]
        for path in paths:
            png = data / "train_images_v01" / path.relative_to(images).with_suffix(".png")
            if png.is_file() == (f"{path}: " in text):
                self.outcome.faults.append(f"{path.name}: both used and named, or neither; {text[-300:]}")
            elif png.is_file():
                self._compare(path)
        made = sorted((data / "train_images_v04" / good.name).rglob("*.png"))
        if len(made) != len(sorted(good.rglob("*.dcm"))):
            self.outcome.faults.append("prepare.py: undamaged slices were lost")
        (out / "mine").mkdir(parents=True)
        strangers.append(out / "mine" / "thesis.txt")
        strangers[-1].write_text("mine")
        _, text = self.outcome.command(
            "predict.py", images, "--weights", self.folder / "weights", "--out", out / "submission.csv", "-G", "cpu",
            "--workers", self.workers,
        )  # fmt: skip
        rows = (out / "submission.csv").read_text() if (out / "submission.csv").is_file() else ""
        if rows.count(f"\n{good.name}_") != 25:
            self.outcome.faults.append(f"predict.py: no answer for the undamaged study; {text[-3000:]}")
        for path in strangers:
            if not path.is_file() or path.read_text() != "mine":
                self.outcome.faults.append(f"{path}: a stranger's file was deleted or changed")

    def _compare(self, path: Path) -> None:
        """Compare the pixels of an accepted mutant with pydicom's."""
        try:
            ours = read_slice(path).stored
            dataset = pydicom.dcmread(path, force=True)
            dataset.SamplesPerPixel = 1  # pydicom, unlike this repository, refuses a file that does not say so
            theirs = dataset.pixel_array
        except DicomError as error:
            self.outcome.faults.append(f"{error}; but prepare.py used it")
        except Exception as error:
            self.outcome.faults.append(f"{path.name}: used, but pydicom refuses it ({error})")
        else:
            if not np.array_equal(ours, theirs):
                self.outcome.faults.append(f"{path.name}: pixels differ from pydicom's")

    def tables(self, count: int, rng: np.random.Generator) -> None:
        """Give damaged tables to the commands that read them, each in place of the undamaged one."""
        prepared = self.folder / "prepared"
        shutil.copytree(self.data, prepared)
        self.outcome.command("scripts/prepare.py", "--data", prepared, "--workers", self.workers)
        commands = [
            ("train.csv", "scripts/make_folds.py", "train_folded_v1.csv", ("--folds", 2)),
            ("train_series_descriptions.csv", "scripts/make_folds.py", "train_folded_v1.csv", ("--folds", 2)),
            (
                "train_label_coordinates.csv",
                "scripts/make_sag_loc_labels_part2.py",
                "sag_xy/shifted_spinenet_v02.csv.gz",
                ("--source", "coordinates", "--workers", 1),
            ),
            ("train_label_coordinates.csv", "scripts/check_data.py", "none", ()),
        ]
        tries = []
        for place, (name, script, made, options) in enumerate(commands):
            self.outcome.command(script, "--data", prepared, *options)
            content = (prepared / name).read_bytes()
            share = len(range(place, count, len(commands)))
            tries += [(name, script, made, options, mutant) for mutant in damaged_tables(content, share, rng)]

        def one(number: int) -> None:
            name, script, made, options, mutant = tries[number]
            data = self.folder / "tables" / str(number)
            data.mkdir(parents=True)
            for each in prepared.iterdir():
                if each.name not in (name, made.partition("/")[0]):
                    (data / each.name).symlink_to(each)
            (data / name).write_bytes(mutant)
            status, text = self.outcome.command(script, "--data", data, *options)
            same = not (prepared / made).is_file() or (
                (data / made).is_file() and (data / made).read_bytes() == (prepared / made).read_bytes()
            )
            if status == 0 and not same and name not in text:
                self.outcome.faults.append(f"{script}: another answer without a word, from {name} number {number}")

        with ThreadPoolExecutor(self.workers) as pool:
            list(tqdm(pool.map(one, range(len(tries))), "tables", len(tries)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; the exit status is 1 if there are faults."""
    arguments = parser(__doc__ or "", data=False, workers=False)
    arguments.add_argument("--mutants", type=positive_int, default=1000, metavar="N", help="default: %(default)s")
    arguments.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = arguments.parse_args(argv)
    rng, outcome = np.random.default_rng(options.seed), Outcome()
    with tempfile.TemporaryDirectory() as name:
        fuzz = Fuzz(Path(name), outcome, cores())
        files = list(damaged_files(fuzz.originals, options.mutants * 2 // 3, rng))
        for start in tqdm(range(0, len(files), AT_A_TIME), "files"):
            fuzz.files(files[start : start + AT_A_TIME])
        fuzz.tables(options.mutants - len(files), rng)
    if outcome.peak > MEMORY:
        outcome.faults.append(f"a process took {outcome.peak >> 10} MiB")
    for name, count in sorted(outcome.runs.items()):
        print(f"{name}: {count} runs")
    for fault in outcome.faults:
        print(f"fault: {fault}")
    print(f"{options.mutants} mutants, {len(outcome.faults)} faults; the largest process took {outcome.peak >> 10} MiB")
    return int(bool(outcome.faults))


if __name__ == "__main__":
    run(main)
