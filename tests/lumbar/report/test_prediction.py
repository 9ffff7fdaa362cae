"""The report of a prediction: what it says, and that a real browser shows it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumbar.anatomy import LEVEL_LABELS, TARGETS
from lumbar.html.page import NOTICE
from lumbar.predict.record import MODELS, SHARES, Records, StudyRecord
from lumbar.report import prediction
from lumbar.report.prediction import overview_row, study_section, write_report

Maker = Callable[..., StudyRecord]
Writer = Callable[..., Records]

NORMAL, MODERATE, SEVERE = (0.7, 0.2, 0.1), (0.2, 0.6, 0.2), (0.1, 0.3, 0.6)


def graded(**targets: tuple[float, ...]) -> np.ndarray:
    """Probabilities that are normal but for some targets."""
    return np.array([targets.get(target, NORMAL) for target in TARGETS])


def test_the_overview_names_the_worst_grade_of_each_condition(record: Maker) -> None:
    probabilities = graded(
        spinal_canal_stenosis_l4_l5=MODERATE,
        right_neural_foraminal_narrowing_l2_l3=SEVERE,
        right_neural_foraminal_narrowing_l3_l4=(0.05, 0.2, 0.75),
    )
    row = overview_row(record(5, probabilities=probabilities, source=(MODELS,) * 25, warnings=("one", "two")))
    assert [(worst.style, worst.text) for worst in row.worst] == [
        ("g1", "Moderate L4/L5"),
        ("g2", "Severe L3/L4"),
        ("g0", "Normal/Mild"),
    ]
    assert (row.severe, row.unseen, row.warnings) == (0.2, 0, 2)
    assert row.worst[1].order > row.worst[0].order > row.worst[2].order


def test_class_shares_are_no_grade(record: Maker) -> None:
    severe = record(5, probabilities=graded(spinal_canal_stenosis_l4_l5=SEVERE), source=(SHARES,) * 25)
    row = overview_row(severe)
    assert {worst.text for worst in row.worst} == {"not seen"}
    assert np.isnan(row.severe)
    cells = [cell for _, cells in study_section(severe)["grades"] for cell in cells]
    assert {(cell.name, cell.style, cell.mark) for cell in cells} == {("Not seen", "unseen fallback", "c")}
    partly = record(5, probabilities=graded(spinal_canal_stenosis_l4_l5=SEVERE), source=(SHARES,) * 5 + (MODELS,) * 20)
    assert [worst.text for worst in overview_row(partly).worst] == ["not seen", "Normal/Mild", "Normal/Mild"]


def test_the_table_of_grades_has_levels_as_rows_and_conditions_as_columns(record: Maker) -> None:
    section = study_section(record(5, probabilities=graded(left_subarticular_stenosis_l2_l3=SEVERE)))
    assert [label for label, _ in section["grades"]] == list(LEVEL_LABELS)
    found = [
        (row, column)
        for row, (_, cells) in enumerate(section["grades"])
        for column, cell in enumerate(cells)
        if cell.name == "Severe"
    ]
    assert found == [(1, 3)]
    assert section["grades"][1][1][3].text == "10 · 30 · 60"
    assert [mark for mark, _ in section["sources"]] == ["b", "c"]


def test_points_and_box_are_drawn_where_they_are(record: Maker) -> None:
    section = study_section(record(5))
    sagittal, axial = section["sagittal"], section["axial"][0]
    scale = 480 / 160
    assert [mark.label for mark in sagittal.marks] == list(LEVEL_LABELS)
    assert sagittal.marks[0][:2] == pytest.approx((60.5 * scale, 20.5 * scale), abs=0.1)
    assert (sagittal.width, sagittal.height) == (384, 480)
    # The box of 40 px stands in the middle of the 88 px that are shown; left is on the right.
    scale = 280 / 88
    assert axial.box == pytest.approx((24 * scale, 24 * scale, 40 * scale, 40 * scale), abs=0.1)
    assert [(mark.kind, mark.label) for mark in axial.marks] == [("left", "L"), ("right", "R")]
    assert axial.marks[0].x > axial.marks[1].x


def test_text_of_records_is_text(record: Maker, write_records: Writer, tmp_path: Path) -> None:
    records = write_records(record(5, warnings=("<script>alert(1)</script>",)), notes=("<b>note",))
    text = write_report(records, tmp_path / "report.html").read_text()
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert" in text
    assert "&lt;b&gt;note" in text
    assert text.count(NOTICE) == 2


def test_after_so_many_studies_pictures_are_left_out(
    record: Maker, write_records: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "MOST_WITH_PICTURES", 1)
    text = write_report(write_records(record(5), record(6)), tmp_path / "report.html").read_text()
    assert text.count("<img ") == 6
    assert "only the first 1 of 2 studies are shown with pictures" in text
    assert "Its pictures are left out of this page." in text
    assert text.count('class="grades"') == 2


def test_equal_records_give_equal_pages(record: Maker, write_records: Writer, tmp_path: Path) -> None:
    records = write_records(record(5))
    first, second = (write_report(records, tmp_path / f"{n}.html").read_bytes() for n in (1, 2))
    assert first == second


def test_a_browser_shows_every_part_of_it(record: Maker, write_records: Writer, tmp_path: Path, browser: Any) -> None:
    nothing = record(33, pictures=False, source=(SHARES,) * 25, warnings=("No usable series.",))
    records = write_records(record(111), record(22, warnings=("One.", "Two.")), nothing, notes=("Run note.",))
    page = write_report(records, tmp_path / "report.html")
    browser.open(page)
    assert browser.problems() == {}
    assert browser.evaluate("document.images.length") == 12
    assert browser.evaluate("document.querySelectorAll('.grades td').length") == 75
    assert browser.evaluate("document.body.innerText.includes('No level was found on any slice.')")
    assert browser.evaluate("document.querySelectorAll('.picture text').length") == 2 * (5 + 5 * 2)


def test_a_click_on_a_heading_sorts(record: Maker, write_records: Writer, tmp_path: Path, browser: Any) -> None:
    rows = {111: ("a",) * 10, 22: (), 3333: ("a", "b")}
    page = write_report(
        write_records(*(record(study, pictures=False, warnings=lines) for study, lines in rows.items())),
        tmp_path / "report.html",
    )
    browser.open(page)
    assert browser.column("#overview", 0) == ["111", "22", "3333"]
    browser.click_heading("#overview", 0)
    assert browser.column("#overview", 0) == ["22", "111", "3333"]
    browser.click_heading("#overview", 0)
    assert browser.column("#overview", 0) == ["3333", "111", "22"]
    browser.click_heading("#overview", 6)
    assert browser.column("#overview", 0) == ["22", "3333", "111"]
    sorted_by = "[...document.querySelectorAll('#overview th[aria-sort]')].map(e => e.textContent)"
    assert browser.evaluate(sorted_by) == ["Warnings"]


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_its_text_stands_out(
    dark: bool, record: Maker, write_records: Writer, tmp_path: Path, browser: Any
) -> None:
    page = write_report(write_records(record(5, warnings=("One.",))), tmp_path / "report.html")
    browser.open(page, width=390, dark=dark)
    assert browser.problems() == {}
    assert (browser.evaluate(CONTRASTS) or [99])[0] >= 4.5
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == dark
    browser.screenshot(tmp_path / "phone.png")
    assert (tmp_path / "phone.png").stat().st_size > 20_000


def test_it_prints_what_is_folded_away(record: Maker, write_records: Writer, tmp_path: Path, browser: Any) -> None:
    page = write_report(write_records(record(5), record(6)), tmp_path / "report.html")
    browser.open(page, dark=True)
    browser.evaluate(
        "addEventListener('beforeprint', () => { window.open_ = document.querySelectorAll('details[open]').length; })"
    )
    document = browser.pdf()
    assert document.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", document)) == 3  # the overview and two studies
    assert browser.evaluate("window.open_") == 2
    assert browser.evaluate("document.querySelectorAll('details[open]').length") == 0


CONTRASTS = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = colour => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v =>
      (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour !== "rgba(0, 0, 0, 0)" || !element.parentElement ? colour : background(element.parentElement);
  };
  const texts = [...document.querySelectorAll("body *:not(script):not(svg *)")].filter(element =>
    element.checkVisibility() && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return texts.map(element => {
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(background(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }).sort((a, b) => a - b);
})()"""
"""Contrast of every text to its background, ascending (WCAG 2)."""
