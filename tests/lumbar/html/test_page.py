from pathlib import Path

import pytest

from lumbar.cli import UserError
from lumbar.html.page import load_template, number, percent, write_page


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(-0.5, 1), "\N{MINUS SIGN}0.5"),
        (number(1234.5, 0, sign=True), "+1,234"),
        (number(float("nan")), "\N{EN DASH}"),
        (number(float("inf")), "\N{INFINITY}"),
        (percent(0.126), "13 %"),
        (percent(float("nan")), "\N{EN DASH}"),
    ],
)
def test_numbers_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="the report is not written"):
        write_page(tmp_path / "file" / "page.html", "base.html.j2")


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with pytest.raises(Exception, match="rows"):
        write_page(path, "prediction.html.j2")
    assert list(tmp_path.iterdir()) == []


def test_pages_load_nothing_from_elsewhere() -> None:
    page = load_template("base.html.j2").render()
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page
