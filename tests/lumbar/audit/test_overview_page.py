from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lumbar.audit.findings import Exhibit, Mark
from lumbar.audit.overview_page import to_html
from lumbar.audit.report import Report
from lumbar.audit.thumbnails import COLOURS, LONGER_SIDE, thumbnail
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


def exhibit(*marks: Mark) -> Exhibit:
    return Exhibit(1, 11, 4, "SCS L1/L2", marks)


@pytest.mark.parametrize(("x", "y", "column", "row"), [(50, 25, 160, 80), (-30, 500, 5, LONGER_SIDE - 6)])
def test_a_mark_is_a_ring_at_its_place_or_at_the_edge(x: float, y: float, column: int, row: int, data: Path) -> None:
    drawn = thumbnail(data, exhibit(Mark(x, y, "left")))
    assert drawn is not None
    assert drawn.shape == (LONGER_SIDE, LONGER_SIDE, 3)
    colour = np.array(list(bytes.fromhex(COLOURS["left"][1:]))[::-1])
    near = (np.abs(drawn.astype(int) - colour) < 30).all(axis=2)
    rows, columns = np.nonzero(near)
    assert abs(columns.mean() - column) < 1.5
    assert abs(rows.mean() - row) < 1.5


def test_a_slice_in_no_cache_has_no_picture(data: Path) -> None:
    assert thumbnail(data, exhibit()._replace(instance_number=99)) is None
    damaged = data / "train_images_v01" / "1" / "11" / "4.png"
    damaged.write_bytes(b"no png")
    assert thumbnail(data, exhibit()) is None
