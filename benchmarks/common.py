"""What benchmarks share: a phantom to work on, one thread, the best of some timings."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import perfect_localisers
import torch

from lumbar.cli import parser, positive_int

ROOT = Path(__file__).parents[1]


def run_script(name: str, *options: object) -> str:
    """Run a script of the repository quietly; return what it printed."""
    command = [sys.executable, ROOT / "scripts" / name, *map(str, options)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_phantom(out: Path, studies: int, test_studies: int, size: str = "small") -> None:
    """Make a phantom without oddities."""
    counts = ("--studies", studies, "--test-studies", test_studies)
    run_script("make_phantom.py", "--out", out, *counts, "--size", size, "--seed", 0, "--irregular", 0)


def data_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the options of `data_folder`."""
    options = parser(description, data=False, workers=False)
    options.add_argument("--data", type=Path, metavar="DIR", help="prepared data folder (default: a new phantom)")
    options.add_argument("--studies", type=positive_int, default=6, metavar="N", help="studies of the phantom")
    options.add_argument("--size", choices=("small", "full"), default="small", help="of the phantom")
    return options


@contextmanager
def data_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Give the folder to read, or a phantom with all tables in a temporary folder."""
    if options.data is not None:
        yield options.data
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "datamount"
        make_phantom(data, options.studies, 0, options.size)
        for script in ("prepare.py", "make_folds.py", "make_sag_loc_labels_part2.py"):
            run_script(script, "--data", data)
        perfect_localisers.write_tables(data)
        yield data


def use_one_thread() -> None:
    """Keep libraries on this process's one thread, and quiet."""
    logging.basicConfig(level=logging.WARNING)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


class Best(dict[str, float]):
    """The best of repeated measurements by name: milliseconds of processor time per item."""

    def timed(self, name: str, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Measure a function of each of some items; return its results."""
        start = time.process_time()
        results = [function(item) for item in items]
        spent = (time.process_time() - start) * 1000 / len(results)
        self[name] = min(self.get(name, spent), spent)
        return results
