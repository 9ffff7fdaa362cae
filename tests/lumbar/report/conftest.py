"""A real browser without a window, driven over a pipe; records of studies and training runs to show in it."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lumbar.anatomy import AXIAL_T2, LEVELS, PARTS, SAGITTAL_T2, TARGETS
from lumbar.config import load_config
from lumbar.engine import checkpoint, records
from lumbar.predict.record import (
    MODELS,
    NEIGHBOUR,
    SHARES,
    AxialView,
    Records,
    SagittalView,
    SeriesNote,
    StudyRecord,
    write_record,
)
from lumbar.report.training import write_report

NAMES = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")

LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the two ends of the pipes where Chromium expects them, and becomes Chromium."""

PROBLEMS = """({
    pictures: [...document.images].filter(each => !each.naturalWidth || !each.alt).length,
    charts: document.querySelectorAll("svg.chart:not([aria-label])").length,
    ids: document.querySelectorAll("[id]").length - new Set([...document.querySelectorAll("[id]")].map(e => e.id)).size,
    headers: [...document.querySelectorAll("th")].filter(each => !each.scope).length,
    links: [...document.links].filter(each => !document.querySelector(each.hash)).length,
    requests: performance.getEntriesByType("resource").filter(each => !each.name.startsWith("data:")).length,
    overflow: Math.max(0, document.documentElement.scrollWidth - innerWidth),
})"""
"""Counts of what a page must not have: pictures that did not load or have no text, names that are used twice, ..."""


class Browser:
    """Chromium and the Chrome DevTools Protocol: JSON messages that end with a zero byte, on descriptors 3 and 4."""

    def __init__(self, binary: str, profile: Path) -> None:
        from_browser, to_us = os.pipe()
        from_us, to_browser = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                   f"--user-data-dir={profile}", "--force-color-profile=srgb", "about:blank"]  # fmt: skip
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (from_us, to_us)]  # neither is 3 or 4 already
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *map(str, ends), binary, *options],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (*ends, from_us, to_us):
            os.close(end)
        self.input, self.output = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self.count, self.rest = 0, b""
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session: str | None = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        self.input.write(json.dumps(message).encode() + b"\0")
        self.input.flush()
        answer = self.wait_for(lambda reply: reply.get("id") == self.count)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read messages until one is the wanted; collect the page's errors on the way."""
        while True:
            while b"\0" not in self.rest:
                assert select.select([self.output], [], [], 60)[0], "the browser does not answer"
                content = os.read(self.output.fileno(), 1 << 20)
                assert content, "the browser ended"
                self.rest += content
            text, _, self.rest = self.rest.partition(b"\0")
            message = json.loads(text)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(text.decode())
            if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] in ("error", "assert"):
                self.errors.append(text.decode())
            if wanted(message):
                return message

    def open(self, path: Path, width: int = 1200, dark: bool = False) -> None:
        """Load a page as a screen of this width shows it."""
        self.errors.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for(lambda message: message.get("method") == "Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """Run a script in the page and return its value."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Save the whole page as a PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """Print the page on A4."""
        answer = self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(answer["data"])

    def problems(self) -> dict[str, Any]:
        """What the open page has wrong with it: nothing, if all is well."""
        counts: dict[str, int] = self.evaluate(PROBLEMS)
        found: dict[str, Any] = {name: count for name, count in counts.items() if count}
        return found | ({"errors": self.errors} if self.errors else {})

    def column(self, table: str, number: int) -> list[str]:
        """Cells of a column of a table, as they stand from top to bottom."""
        cells: list[str] = self.evaluate(
            f"[...document.querySelector('{table}').tBodies[0].rows].map(row => row.cells[{number}].textContent.trim())"
        )
        return cells

    def click_heading(self, table: str, number: int) -> None:
        """Click the heading of a column."""
        self.evaluate(
            f"document.querySelector('{table}').tHead.rows[0].cells[{number}].querySelector('button').click()"
        )

    def close(self) -> None:
        """End the browser."""
        self.session = None
        self.call("Browser.close")
        self.process.wait(20)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A running browser; the test is skipped where none is installed."""
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    if binary is None:
        pytest.skip("no Chromium or Chrome is installed")
    running = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


def make_record(study_id: int, pictures: bool = True, **values: Any) -> StudyRecord:
    """A study with grades that are different everywhere."""
    rng = np.random.default_rng(study_id)
    sagittal = SagittalView(
        series_id=7,
        instance_number=3,
        kind=SAGITTAL_T2,
        spacing=(0.5, 0.5),
        confidence=0.9,
        points=np.column_stack([np.full(5, 60.0), np.linspace(20, 140, 5)]),
        image=rng.integers(0, 256, (160, 128), dtype=np.uint8),
    )
    axial = tuple(
        AxialView(
            level=level,
            series_id=8,
            instance_number=number,
            distance=0.4,
            slices=3,
            spacing=(0.5, 0.5),
            box=np.array([30, 40, 70, 80]),
            points=np.array([[60.0, 55.0], [40.0, 55.0]]),
            image=rng.integers(0, 256, (120, 120), dtype=np.uint8),
        )
        for number, level in enumerate(LEVELS)
    )
    standard: dict[str, Any] = {
        "study_id": study_id,
        "fingerprint": "",
        "probabilities": rng.dirichlet((1, 1, 1), len(TARGETS)),
        "source": (MODELS,) * 23 + (NEIGHBOUR, SHARES),
        "models": {},
        "series": (SeriesNote(7, SAGITTAL_T2, "described as T2", 15), SeriesNote(8, AXIAL_T2, "axial", 20),
                   SeriesNote(9, None, "coronal", 5)),
        "warnings": (),
        "sagittal": sagittal if pictures else None,
        "axial": axial if pictures else (),
    }  # fmt: skip
    return StudyRecord(**(standard | values))


@pytest.fixture
def record() -> Callable[..., StudyRecord]:
    """``record(study_id, pictures=True, **values)`` makes the record of a study."""
    return make_record


@pytest.fixture
def write_records(tmp_path: Path) -> Callable[..., Records]:
    """``write_records(*records, notes=...)`` puts records on the disk as a prediction leaves them."""

    def write(*records: StudyRecord, notes: tuple[str, ...] = ()) -> Records:
        for record in records:
            write_record(tmp_path / "records", record)
        return Records(tmp_path / "records", [record.study_id for record in records], notes)

    return write


@pytest.fixture
def run_writer() -> Callable[..., Path]:
    """``run_writer(weights, config, fold, seed, output, **keys)`` puts a run on the disk."""
    return write_run


@pytest.fixture
def grades() -> Callable[..., dict[str, torch.Tensor]]:
    """``grades(study_ids, seed, parts)`` makes what a classifier returns."""
    return grade_output


def write_run(
    weights: Path, config: str, fold: int, seed: int, output: dict[str, torch.Tensor] | None = None, **keys: Any
) -> Path:
    """Put a run on the disk as training leaves it: three epochs of history, the snapshot, and outputs if given."""
    folder = weights / config / f"fold{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    cfg = vars(load_config(config)) | {"fold": fold, "seed": seed, "epochs": 3} | keys
    snapshot = {"config": cfg, "git_commit": "0123456789abcdef-dirty"}
    (folder / records.SNAPSHOT.format(seed=seed)).write_text(json.dumps(snapshot))
    rows = [{"epoch": n, "step": 4 * n, "train_loss": 1 / n, "skipped": 0, "nonfinite": 0, "val_loss": 2 / n,
             "val_score": 1.5 / n, "seconds": 60 * n} for n in (1, 2, 3)]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / records.HISTORY.format(seed=seed), index=False)
    if output is not None:
        torch.save(output, folder / checkpoint.VAL_DATA.format(seed=seed))
    return folder


def grade_output(study_ids: list[int], seed: int, parts: tuple[str, ...] = PARTS) -> dict[str, torch.Tensor]:
    """Make what a classifier returns for some studies: one row per study, condition group and level."""
    cells = [(study, PARTS.index(part), level) for study in study_ids for part in parts for level in range(len(LEVELS))]
    study, condition, level = (torch.tensor(column) for column in zip(*cells, strict=True))
    logits = torch.randn(len(cells), 2, 3, generator=torch.Generator().manual_seed(seed))
    return {"study_id": study, "condition": condition, "level": level, "logits": logits,
            "series_id": study, "target": torch.full((len(cells), 2), -100)}  # fmt: skip


def add_runs(mini: Path, folds: pd.DataFrame) -> Path:
    """Add runs to a tiny competition with localisers: a classifier of all conditions, and one of the sagittal ones."""
    weights = mini / "weights"
    for fold, rows in folds.groupby("fold"):
        ids = sorted(set(rows["study_id"]))
        write_run(weights, "cfg_dh_29a2", int(fold), 1, grade_output(ids, seed=int(fold)))
        write_run(weights, "cfg_dh_12y8", int(fold), 1, grade_output(ids, seed=9, parts=("nfn", "scs")))
        if fold == 0:
            write_run(weights, "cfg_dh_29a2", 0, 2, grade_output(ids, seed=7))
    write_run(weights, "cfg_dh_05b5_loc", 0, 1)
    return mini


@pytest.fixture
def trained(mini: Path, mini_folds: pd.DataFrame) -> Path:
    """The tiny competition with the runs of `add_runs`."""
    return add_runs(mini, mini_folds)


@pytest.fixture(scope="session")
def trained_once(mini_source: Path, mini_folds: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, shared by tests that change nothing, with its ``report.html``."""
    folder = add_runs(Path(shutil.copytree(mini_source, tmp_path_factory.mktemp("once") / "mini")), mini_folds)
    write_report(folder / "datamount", folder / "weights", folder / "report.html")
    return folder
