"""What a run leaves behind besides weights: history, TensorBoard and Neptune records, and where it came from.

`history.csv` and the snapshot are the record; TensorBoard and Neptune are conveniences, and a run never fails because
one of them does.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import io
import json
import logging
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from lumbar.config import Config, keys_that_matter
from lumbar.engine.runs import Run
from lumbar.files import write_text

EVENTS: Final = "tensorboard_seed{seed}"
LIBRARIES: Final = ("torch", "timm", "numpy", "pandas", "opencv-python-headless")

_log = logging.getLogger(__name__)


class History:
    """One row per validation: epoch, step, and everything measured since the row before.

    Parameters
    ----------
    path : Path
        CSV file.
    up_to_step : int
        Rows of an earlier part of the same run are kept up to this step; 0 starts anew.
    """

    def __init__(self, path: Path, up_to_step: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if up_to_step and path.is_file():
            with path.open(newline="") as file:
                self.rows = [dict(row) for row in csv.DictReader(file) if int(row["step"]) <= up_to_step]

    @property
    def last_step(self) -> int:
        """Step of the last row; -1 before the first."""
        return int(self.rows[-1]["step"]) if self.rows else -1

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row, which must have `step`, and write the file."""
        self.rows.append(dict(row))
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


class Trackers:
    """TensorBoard event files, and Neptune when the config names a project.

    Parameters
    ----------
    cfg : config
        Reads `neptune_project neptune_mode` and goes into the record whole.
    folder : Path
        Where both write.
    step : int
        Events of an earlier part of the run from this step on are hidden.
    """

    def __init__(self, cfg: Config, folder: Path, step: int) -> None:
        events = folder / EVENTS.format(seed=cfg.seed)
        self._sinks = [
            sink for sink in (_guarded(_tensorboard, events, step), _guarded(_neptune, cfg, folder)) if sink is not None
        ]

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record values; those that are not finite are left out."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        # A tracker that fails once is dropped, with one warning.
        self._sinks = [sink for sink in self._sinks if _guarded(sink.log, finite, step) is not None]

    def close(self) -> None:
        """Write out what is pending."""
        for sink in self._sinks:
            _guarded(sink.close)


class Sink(NamedTuple):
    """One tracker: what records values at a step and returns True, and what ends it."""

    log: Callable[[Mapping[str, float], int], bool]
    close: Callable[[], object]


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a tracker; None and a warning if it fails, for whatever reason."""
    try:
        return function(*arguments)
    except Exception as error:  # third-party clients raise anything
        _log.warning("tracking: %s; training goes on without it", error)
        return None


def _tensorboard(folder: Path, step: int) -> Sink:
    """Open an event file."""
    from torch.utils.tensorboard import SummaryWriter  # seconds of imports, needed only in a run

    writer = SummaryWriter(str(folder), purge_step=step)

    def record(values: Mapping[str, float], step: int) -> bool:
        for name, value in values.items():
            writer.add_scalar(name.replace("_", "/", 1), value, step)
        writer.flush()
        return True

    return Sink(record, writer.close)


def _neptune(cfg: Config, folder: Path) -> Sink | None:
    """Start a Neptune run."""
    if cfg.neptune_project is None:
        return None
    os.environ.setdefault("NEPTUNE_DATA_DIRECTORY", str(folder / f"neptune_seed{cfg.seed}"))
    import neptune

    run = neptune.init_run(project=cfg.neptune_project, mode=cfg.neptune_mode, capture_stdout=False)
    run["config"] = {name: str(value) for name, value in dataclasses.asdict(cfg).items()}

    def record(values: Mapping[str, float], step: int) -> bool:
        for name, value in values.items():
            run[name.replace("_", "/", 1)].append(value, step=step)
        return True

    return Sink(record, run.stop)


def write_snapshot(cfg: Config, folder: Path, world: int) -> None:
    """Write down what made this run: all keys, the command, the commit, library versions."""
    content = {
        "config": dataclasses.asdict(cfg),
        "command": sys.argv,
        "ranks": world,
        "git_commit": git_commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
    }
    write_text(Run(folder, cfg.seed).snapshot, json.dumps(content, indent=1) + "\n")


def changed_keys(cfg: Config, folder: Path) -> list[str]:
    """List the keys that matter and differ from the last snapshot of this seed; none when there is no snapshot."""
    try:
        before = json.loads(Run(folder, cfg.seed).snapshot.read_text())["config"]
    except (OSError, ValueError, KeyError):
        return []
    now = json.loads(json.dumps(dataclasses.asdict(cfg)))
    return sorted(name for name in now.keys() - keys_that_matter("never") if now[name] != before.get(name))


def git_commit() -> str | None:
    """Commit of the source, with ``-dirty`` when files differ from it; None outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
