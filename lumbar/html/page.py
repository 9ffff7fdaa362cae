"""Templates to HTML pages: every page extends ``base.html.j2``, which holds what they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from lumbar.cli import UserError
from lumbar.files import atomic_path

NOTICE: Final = (
    "Research software, not a medical device: not for diagnosis, and not tested for it. "
    "This page holds study numbers and pictures, and no patient data."
)
"""What every report says of itself."""

PAGE_START: Final = "<!DOCTYPE html>"
"""What every page starts with, by which an earlier one is known."""

MINUS, DASH, INFINITY = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{INFINITY}"


class Cell(NamedTuple):
    """A cell of a table that is more than its text."""

    text: str
    order: float | str = ""
    """What a click on the heading sorts it by; empty: its text."""
    style: str = ""
    """Classes of the style sheet."""
    remark: str = ""
    """Stands smaller behind the text."""


class Table(NamedTuple):
    """A table of a page."""

    label: str
    """What a screen reader calls it."""
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    """Cells: text, a whole number or a `Cell`; the first of each row is its heading."""
    sortable: str = ""
    """Its id, if a click on a heading sorts it."""


def load_template(name: str, package: str = "lumbar.report") -> Template:
    """Load a template that lies beside the modules of a package, or in `lumbar.html`."""
    loaders = [PackageLoader(each, ".") for each in dict.fromkeys((package, "lumbar.html"))]
    environment = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"percent": percent, "number": number}
    return environment.get_template(name)


def write_page(path: Path, name: str, **values: Any) -> Path:
    """Fill a template of `lumbar.report` and write it atomically, piece by piece: it need not fit into memory.

    Parameters
    ----------
    path : Path
        The HTML file.
    name : str
        Template.
    **values
        What it needs, besides `NOTICE`. Of an iterator only what is being written is held.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    stream = load_template(name).stream(notice=NOTICE, **values)
    stream.enable_buffering(100)
    try:
        with atomic_path(path) as temporary:
            stream.dump(str(temporary), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or path}: {error.strerror or error}; the report is not written") from error
    return path


def percent(share: float, digits: int = 0) -> str:
    """Write a share as percent with a true minus sign; a dash where it is unknown."""
    return number(100 * share, digits) + (" %" if math.isfinite(share) else "")


def number_cell(value: float, digits: int = 3) -> Cell:
    """Make a cell of a number, which sorts by all its digits, and last where it is unknown."""
    return Cell(number(value, digits), "" if math.isnan(value) else value)


def percent_cell(share: float, digits: int = 0) -> Cell:
    """Make a cell of a share, as `number_cell`."""
    return Cell(percent(share, digits), "" if math.isnan(share) else share)


def number(value: float, digits: int = 3, sign: bool = False) -> str:
    """Write a number with a true minus sign; a dash where it is unknown."""
    if not math.isfinite(value):
        return DASH if math.isnan(value) else INFINITY
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)
