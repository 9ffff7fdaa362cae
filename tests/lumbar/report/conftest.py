"""A real browser without a window; records of studies and training runs to show in it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from playwright import sync_api as playwright

from lumbar.anatomy import AXIAL_T2, LEVELS, PARTS, SAGITTAL_T2, TARGETS
from lumbar.config import load_config
from lumbar.engine.runs import Run
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

FAULTS = ("error", "warning", "assert")
"""Kinds of lines in the browser's console that a page must not cause."""

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
    """One page of a real browser, and what goes wrong on it."""

    def __init__(self, running: playwright.Browser) -> None:
        self.running = running
        self.page = running.new_page()
        self.errors: list[str] = []

    def open(self, path: Path, width: int = 1200, dark: bool = False) -> None:
        """Load a page as a screen of this width shows it."""
        self.page.context.close()
        self.errors.clear()
        self.page = self.running.new_page(
            viewport={"width": width, "height": 900},
            is_mobile=width < 600,
            color_scheme="dark" if dark else "light",
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type in FAULTS else None)
        self.page.goto(path.resolve().as_uri())

    def evaluate(self, script: str) -> Any:
        """Run a script in the page and return its value."""
        return self.page.evaluate(script)

    def screenshot(self, path: Path) -> None:
        """Save the whole page as a PNG."""
        self.page.screenshot(path=path, full_page=True)

    def pdf(self) -> bytes:
        """Print the page on A4."""
        return self.page.pdf(format="A4", print_background=True)

    def problems(self) -> dict[str, Any]:
        """What the open page has wrong with it: nothing, if all is well."""
        counts: dict[str, int] = self.evaluate(PROBLEMS)
        found: dict[str, Any] = {name: count for name, count in counts.items() if count}
        return found | ({"errors": self.errors} if self.errors else {})

    def column(self, table: str, number: int) -> list[str]:
        """Cells of a column of a table, as they stand from top to bottom."""
        cells = self.page.locator(f"{table} > tbody > tr > *:nth-child({number + 1})")
        return [text.strip() for text in cells.all_text_contents()]

    def click_heading(self, table: str, number: int) -> None:
        """Click the heading of a column."""
        self.page.locator(f"{table} > thead > tr > *:nth-child({number + 1}) button").click()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A running Chromium or Chrome without a window; the test is skipped where none is installed."""
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    if binary is None:
        pytest.skip("no Chromium or Chrome is installed")
    with playwright.sync_playwright() as driver:
        yield Browser(driver.chromium.launch(executable_path=binary, args=["--no-sandbox"]))


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
    run = Run(folder, seed)
    cfg = vars(load_config(config)) | {"fold": fold, "seed": seed, "epochs": 3} | keys
    snapshot = {"config": cfg, "git_commit": "0123456789abcdef-dirty"}
    run.snapshot.write_text(json.dumps(snapshot))
    rows = [{"epoch": n, "step": 4 * n, "train_loss": 1 / n, "skipped": 0, "nonfinite": 0, "val_loss": 2 / n,
             "val_score": 1.5 / n, "seconds": 60 * n} for n in (1, 2, 3)]  # fmt: skip
    pd.DataFrame(rows).to_csv(run.history_file, index=False)
    if output is not None:
        torch.save(output, run.val_data)
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
