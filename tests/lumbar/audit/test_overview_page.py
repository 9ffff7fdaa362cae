import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lumbar.audit.overview_page import to_html
from lumbar.audit.report import Report
from lumbar.html.pictures import LONGER_SIDE
from lumbar.tables import LABEL_COORDINATES


class Balanced(HTMLParser):
    """Fails on a tag that is closed in the wrong place, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_shows_the_suspicious_slices(
    data: Path, change: Callable, report: Callable[[], Report]
) -> None:
    change(LABEL_COORDINATES, lambda rows: rows.assign(y=rows["y"].where(rows["series_id"] != 11, 300.0)))
    change(LABEL_COORDINATES, lambda rows: rows.replace({"level": {"L1/L2": "<b>L0</b>"}}))
    page = Balanced()
    text = to_html(report(), data)
    page.feed(text)
    assert page.open == []
    assert len(page.sources) == 8  # the four levels left: outside their image, and far from the stage-1 points
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert "<b>L0" not in text
    assert "&lt;b&gt;L0" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_a_mark_stands_at_its_place_or_at_the_edge(data: Path, change: Callable, report: Callable[[], Report]) -> None:
    change(LABEL_COORDINATES, lambda rows: rows.assign(y=rows["y"].where(rows["series_id"] != 11, 300.0)))
    text = to_html(report(), data)
    circles = [tuple(map(float, place)) for place in re.findall(r'<circle cx="([-.\d]+)" cy="([-.\d]+)"', text)]
    height = LONGER_SIDE  # of the square slices of 100 px
    assert any(y == pytest.approx(99.5 / 100 * height, abs=0.1) for _, y in circles)
    assert all(0 <= x <= LONGER_SIDE and 0 <= y <= height for x, y in circles)


def test_a_slice_in_no_cache_has_no_picture(data: Path, change: Callable, report: Callable[[], Report]) -> None:
    change(LABEL_COORDINATES, lambda rows: rows.assign(y=rows["y"].where(rows["series_id"] != 11, 300.0)))
    audited = report()
    for cached in (data / "train_images_v01" / "1" / "11").iterdir():
        cached.write_bytes(b"no png")
    assert "data:image/jpeg" not in to_html(audited, data)
