"""The report of training runs: what it says of what there is, and that a real browser shows it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lumbar.cli import UserError
from lumbar.html.page import NOTICE
from lumbar.report.training import write_report
from lumbar.tables import AXIAL_XY, FOLDS, META, read_table, write_table


def report(folder: Path, *configs: str) -> tuple[str, Any]:
    path = folder / "report.html"
    summary = write_report(folder / "datamount", folder / "weights", path, configs)
    return path.read_text(), summary


def test_everything_that_is_there_is_reported(trained: Path) -> None:
    text, summary = report(trained)
    assert (summary.runs, summary.configs, summary.graded) == (22, 6, 2)
    assert text.count(NOTICE) == 2
    assert "Best score: " in text
    assert "(cfg_dh_29a2)" in text
    assert "cfg_dh_29g: no run" in text
    assert "cfg_dh_05b5_loc: no run of fold 1, 2, 3" in text
    assert text.count('class="confusion"') == 5  # of two groups and of three
    assert text.count("the human marks") >= 3
    assert "Worst target" in text
    for chart in ("score", "loss"):
        assert f'aria-label="{"Losses" if chart == "loss" else "Validation"} of cfg_dh_29a2' in text


def test_it_can_be_restricted_to_some_configs(trained: Path) -> None:
    text, summary = report(trained, "cfg_dh_12y8")
    assert (summary.runs, summary.configs, summary.notes) == (4, 1, 0)
    assert "cfg_dh_29a2" not in text
    assert "No model predicts every condition yet" in text


def test_without_data_the_histories_remain(tmp_path: Path, run_writer: Callable[..., Path]) -> None:
    run_writer(tmp_path / "weights", "cfg_dh_29a2", 0, 1)
    text, _ = report(tmp_path, "cfg_dh_29a2")
    assert f"grades are not scored: {FOLDS.path}: no such file" in text
    assert "localisation is not measured: " in text
    assert "No run has predicted grades" in text
    assert "Losses of cfg_dh_29a2" in text


def test_localisers_alone_are_reported(mini: Path) -> None:
    text, summary = report(mini)
    assert (summary.configs, summary.graded) == (3, 0)
    assert "No run has a history of its training." in text
    assert "Level points on sagittal slices" in text
    assert "No run has predicted grades" in text


def test_damaged_outputs_cost_their_run_alone(trained: Path) -> None:
    damaged = trained / "weights" / "cfg_dh_29a2" / "fold0" / "val_data_seed1.pth"
    damaged.write_bytes(b"damaged")
    text, summary = report(trained)
    assert summary.graded == 2
    assert "cfg_dh_29a2, fold 0, seed 1: " in text
    assert "; not scored" in text


def test_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run of cfg_x"):
        write_report(tmp_path, tmp_path / "weights", tmp_path / "report.html", ["cfg_x"])


def test_equal_runs_give_equal_pages(trained_once: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    write_report(trained_once / "datamount", trained_once / "weights", again)
    assert again.read_bytes() == (trained_once / "report.html").read_bytes()


def test_no_patient_or_path_is_on_the_page(trained: Path) -> None:
    data = trained / "datamount"
    meta = read_table(data, META)
    write_table(meta.assign(PatientID="Doe^Jane", SeriesDescription="Doe^Jane"), data, META)
    (data / AXIAL_XY.path).unlink()
    text, _ = report(trained)
    assert "Doe^" not in text
    assert str(trained) not in text
    assert f"axial points are not measured: {AXIAL_XY.path}: no such file" in text


def test_a_browser_shows_every_part_of_it(trained_once: Path, browser: Any) -> None:
    browser.open(trained_once / "report.html")
    assert browser.problems() == {}
    assert browser.evaluate("document.images.length") > 8
    drawn = "[...document.querySelectorAll('svg.chart')].filter(e => e.querySelectorAll('path').length > 3).length"
    assert browser.evaluate(drawn) == browser.evaluate("document.querySelectorAll('svg.chart').length") > 10
    before = browser.column("#worst-studies", 2)
    browser.click_heading("#worst-studies", 2)
    assert browser.column("#worst-studies", 2) == sorted(before, key=float) != before


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_in_either_scheme(dark: bool, trained_once: Path, browser: Any, tmp_path: Path) -> None:
    browser.open(trained_once / "report.html", width=390, dark=dark)
    assert browser.problems() == {}
    ink = "getComputedStyle(document.querySelector('svg.chart text')).fill === getComputedStyle(document.body).color"
    assert browser.evaluate(ink)
    widest = "Math.max(...[...document.querySelectorAll('svg.chart')].map(e => e.getBoundingClientRect().right))"
    assert browser.evaluate(widest) <= 390
    browser.screenshot(tmp_path / "phone.png")
    assert (tmp_path / "phone.png").stat().st_size > 50_000


def test_it_prints(trained_once: Path, browser: Any) -> None:
    browser.open(trained_once / "report.html", dark=True)
    assert browser.pdf().startswith(b"%PDF")
