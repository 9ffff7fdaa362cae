"""How near `scripts/prepare.py` comes to what its parts must cost: slices per second, and as a ratio to the parts.

The parts are what no converter can do without: read and parse a DICOM file, decode its pixels, map two windows,
encode two PNGs. Each is measured alone, on one core, in processor time, which other programs disturb least. What the
ratio leaves out: writing the files, noticing what changed, the metadata table, handing work to processes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pydicom
from common import Best, make_phantom, run_script, use_one_thread

from lumbar.cli import cores, parser, positive_int
from lumbar.images.cache import VERSIONS, encode_png
from lumbar.images.dicom import read_slice

MADE = ("v01", "v04")


def measure_parts(files: Sequence[Path], repeats: int) -> dict[str, float]:
    """Measure the parts on one core: milliseconds per slice of each, the best of some repeats."""
    best = Best()
    use_one_thread()
    for _ in range(repeats):
        datasets = best.timed("read", pydicom.dcmread, files)
        best.timed("decode", lambda dataset: dataset.pixel_array, datasets)
        images = [read_slice(path) for path in files]
        both = best.timed("two windows", lambda image: [VERSIONS[version](image) for version in MADE], images)
        best.timed("two PNGs", lambda pair: [encode_png(picture) for picture in pair], both)
    return best


def run_command(data: Path) -> tuple[float, float]:
    """Run prepare.py on all cores from nothing.

    Returns the slices per second that it reports, and its seconds with start-up.
    """
    start = time.perf_counter()
    summary = run_script("prepare.py", "--data", data, "--images", "train_images")
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
        make_phantom(source, options.studies, 1, options.size)
    for study in sorted((source / "train_images").iterdir()):
        for copy in range(options.copies):
            shutil.copytree(study, data / "train_images" / f"{study.name}{copy}")


def main() -> None:
    arguments = parser(__doc__, data=False, workers=False)
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
