"""How near `scripts/prepare.py` comes to what its parts must cost: slices per second, and as a ratio to the parts.

The parts are what no converter can do without: read and parse a DICOM file, decode its pixels, map two windows,
encode two PNGs. Each is measured alone, on one core, in processor time, which other programs disturb least. What the
ratio leaves out: writing the files, noticing what changed, the metadata table, handing work to processes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import pydicom

from lumbar.cli import cores, positive_int
from lumbar.images.cache import VERSIONS, encode_png
from lumbar.images.dicom import DicomSlice, read_slice

SCRIPTS = Path(__file__).parents[1] / "scripts"
MADE = ("v01", "v04")
Item = TypeVar("Item")
Result = TypeVar("Result")


def measure_parts(files: Sequence[Path], repeats: int) -> dict[str, float]:
    """Measure the parts on one core: milliseconds per slice of each, the best of some repeats."""
    best: dict[str, float] = {}

    def timed(name: str, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        start = time.process_time()
        results = [function(item) for item in items]
        best[name] = min(best.get(name, float("inf")), (time.process_time() - start) * 1000 / len(items))
        return results

    def pictures(image: DicomSlice) -> list:
        return [VERSIONS[version](image) for version in MADE]

    cv2.setNumThreads(1)
    for _ in range(repeats):
        datasets = timed("read", pydicom.dcmread, files)
        timed("decode", lambda dataset: dataset.pixel_array, datasets)
        both = timed("two windows", pictures, [read_slice(path) for path in files])
        timed("two PNGs", lambda pair: [encode_png(picture) for picture in pair], both)
    return best


def run_command(data: Path) -> tuple[float, float]:
    """Run prepare.py on all cores from nothing.

    Returns the slices per second that it reports, and its seconds with start-up.
    """
    start = time.perf_counter()
    command = [sys.executable, SCRIPTS / "prepare.py", "--data", data, "--images", "train_images"]
    summary = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds = time.perf_counter() - start
    for version in MADE:  # renamed, not deleted: some file systems are slow to create files after a deletion
        (data / f"train_images_{version}").rename(data / f"old_{start}_{version}")
    reported = float(summary.rpartition(" slices/s")[0].rpartition("(")[2])
    return reported, seconds


def make_images(data: Path, options: argparse.Namespace) -> None:
    """Fill data/train_images with a phantom or the given images, each study several times over."""
    source = options.data
    if source is None:
        source = data / "phantom"
        command = [sys.executable, SCRIPTS / "make_phantom.py", "--out", source, "--size", options.size]
        command += ["--studies", str(options.studies), "--test-studies", "1", "--seed", "0", "--irregular", "0"]
        subprocess.run(command, check=True)
    for study in sorted((source / "train_images").iterdir()):
        for copy in range(options.copies):
            shutil.copytree(study, data / "train_images" / f"{study.name}{copy}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, help="a data folder to use (default: make a phantom)")
    arguments.add_argument("--studies", type=positive_int, default=3, help="of the phantom (default: %(default)s)")
    arguments.add_argument("--size", default="full", help="of the phantom (default: %(default)s, as the real data)")
    arguments.add_argument(
        "--copies", type=positive_int, default=10, help="of each study, so that start-up weighs little (%(default)s)"
    )
    arguments.add_argument("--repeats", type=positive_int, default=3, help="the best counts (default: %(default)s)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        make_images(data, options)
        files = sorted((data / "train_images").rglob("*.dcm"))
        parts = measure_parts(files[:: max(1, len(files) // 200)], options.repeats)
        reported, seconds = zip(*(run_command(data) for _ in range(options.repeats)), strict=True)
    part = sum(parts.values())
    print(f"{len(files)} slices, {cores()} cores, best of {options.repeats}")
    print("parts alone, ms per slice: " + ", ".join(f"{name} {value:.2f}" for name, value in parts.items()))
    ideal = cores() * 1000 / part
    print(f"parts on all cores:            {ideal:6.0f} slices/s")
    for name, speed in (("once started", max(reported)), ("start-up included", len(files) / min(seconds))):
        print(f"prepare.py, {name + ':':18} {speed:6.0f} slices/s, ratio {speed / ideal:.2f}")


if __name__ == "__main__":
    main()
