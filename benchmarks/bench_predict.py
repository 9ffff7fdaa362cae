"""How fast predict.py answers on a CPU, where the time goes, and that its memory does not grow with the studies.

A few phantom studies are copied until there are enough, and graded by networks that were never trained; with
`--weights` by trained ones. Peak memory is that of the largest process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, make_phantom
from placeholder_weights import write_weights

from lumbar.cli import cores, parser, positive_int


def measure(
    sources: Sequence[Path], studies: int, weights: Path, folder: Path, workers: int
) -> tuple[float, float, str]:
    """Predict copies of some studies: seconds, peak memory in MiB, and the command's line about its time."""
    images = folder / "images"
    for number in range(studies):
        shutil.copytree(sources[number % len(sources)], images / str(number + 1))
    command = [sys.executable, ROOT / "predict.py", images, "--weights", weights, "--out", folder / "submission.csv"]
    log = folder / "log.txt"
    start = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "-G", "cpu", "--workers", str(workers), "--studies-at-a-time", "8"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    text = log.read_text()
    if status:
        raise SystemExit(text)
    shares = next(line for line in text.splitlines() if line.startswith("time: "))
    return seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), shares


def main() -> None:
    arguments = parser(__doc__, data=False, workers=False)
    arguments.add_argument(
        "--studies", type=positive_int, nargs=2, default=(25, 100), metavar="N", help="two numbers (default: 25 100)"
    )
    arguments.add_argument("--different", type=positive_int, default=3, help="studies that are copied (%(default)s)")
    arguments.add_argument("--weights", type=Path, help="trained or packed networks (default: small untrained ones)")
    arguments.add_argument("--backbone", default="test_efficientnet.r160_in1k", help="of untrained ones (%(default)s)")
    arguments.add_argument("--img-size", default="64", help="of untrained ones, px (default: %(default)s)")
    arguments.add_argument("--workers", type=positive_int, default=cores(), help="processes (default: all cores)")
    options = arguments.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantom(folder / "phantom", 1, options.different)
        sources = sorted((folder / "phantom" / "test_images").iterdir())
        weights = options.weights
        if weights is None:
            weights = folder / "weights"
            write_weights(weights, {"backbone": options.backbone, "img_size": options.img_size, "hidden_dim": "64"})
        for studies in options.studies:
            (folder / str(studies)).mkdir()
            seconds, peak, shares = measure(sources, studies, weights, folder / str(studies), options.workers)
            print(f"{studies} studies: {60 * studies / seconds:.1f} per minute, start-up included; peak {peak:.0f} MiB")
            print(f"  {shares}")
            results.append((studies, seconds, peak))
    (few, first, low), (many, second, high) = results
    if many > few:
        print(
            f"each further study: {(second - first) / (many - few):.2f} s, {1024 * (high - low) / (many - few):.0f} KiB"
        )


if __name__ == "__main__":
    main()
