"""What can be wrong with a table that a person brings: the text of a CSV file, and its rows.

One policy for all tables. What spoils a whole file refuses it by name: another encoding or separator, a file cut in the
middle of a row, a row with too few or too many fields, more than half of the rows unusable. What spoils a row costs
that row: a blank one, an identifier that is no whole number, a coordinate that is no number, a level that nobody knows,
a series listed again. What can only mean one thing is mended. All of it is said, with the number of rows.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from lumbar.anatomy import CONDITION_BY_TITLE, LEVEL_LABELS, LEVELS, SERIES_TYPES

LARGEST: Final = 2**53 - 1
"""Largest identifier: above it, a number that went through a spreadsheet or a float is another one."""

LARGEST_INSTANCE: Final = 2**31 - 1
"""Largest instance number: DICOM's integer strings (IS) end there."""

WHOLE: Final = {"study_id": LARGEST, "series_id": LARGEST, "source_series_id": LARGEST,
                "instance_number": LARGEST_INSTANCE, "fold": LARGEST, "img_w": LARGEST, "img_h": LARGEST}  # fmt: skip
"""Columns of whole numbers from 0, and the largest that each may hold."""

NUMBERS: Final = ("x", "y", "x_left", "y_left", "x_right", "y_right", "logits_mask", "left_nfn", "right_nfn", "scs")
"""Columns of numbers, finite ones."""

LISTS: Final = ("mapped_ax_instance_number", "distance")
"""Columns of lists of such numbers, none empty."""

MAX_EXAMPLES: Final = 4
"""How many cases a message names."""

_BLANK: Final = re.compile(rb'\n[ \t,"]*(?=\n)')
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Flaw(NamedTuple):
    """Something in a table that was mended, or cost rows."""

    title: str
    """What is expected of the table, for the audit."""
    text: str
    """What was done about the cases; follows "2 of 10 "."""
    cases: list[str]
    """Each of them."""
    total: int
    """Out of how many rows."""
    harmless: bool = False
    """Nothing was lost."""

    def __str__(self) -> str:
        named = list(dict.fromkeys(self.cases))
        more = ", ..." if len(named) > MAX_EXAMPLES else ""
        return f"{len(self.cases)} of {self.total} {self.text}: {', '.join(named[:MAX_EXAMPLES])}{more}"


def parse_csv(content: bytes, columns: Sequence[str], flaws: list[Flaw]) -> pd.DataFrame:
    """Parse a CSV file; columns of whole numbers that hold anything else stay text.

    Parameters
    ----------
    content : bytes
        The file: UTF-8, columns separated by commas, a header.
    columns : sequence of str
        Columns that it must have.
    flaws : list of Flaw
        Gets blank rows, which are left out, and a last row without a line end.

    Raises
    ------
    ValueError
        If it is no such file, lacks a column or is damaged; the message goes on after the file's name.
    """
    text = _plain_text(content)
    if not text.strip():
        raise ValueError("is empty")
    ended = text.endswith(b"\n")
    text = b"\n" + text + (b"" if ended else b"\n")
    blank = _line_numbers(text)
    text = _BLANK.sub(b"", text)[1:] if blank else text[1:]
    first, _, body = text.partition(b"\n")
    header = next(csv.reader([first.decode()]), [])
    for mark, name in _SEPARATORS.items():
        if len(header) == 1 and mark in header[0]:
            raise ValueError(f"its columns are separated by {name}, expected commas")
    require_columns(header, columns)
    rows, between = body.count(b"\n"), len(header) - 1
    if body.count(b",") != between * rows or body[: body.find(b"\n")].count(b",") > between:
        _check_fields(text.decode(), len(header), ended)
    try:
        frame = pd.read_csv(io.BytesIO(text), low_memory=False)
        odd = [name for name in columns if name in WHOLE and not is_integer_dtype(frame[name])]
        if odd:
            frame = pd.read_csv(io.BytesIO(text), low_memory=False, dtype=dict.fromkeys(odd, str))
    except ValueError as error:
        raise ValueError(f"cannot be read ({error})") from error
    if blank:
        cases = [f"line {number}" for number in blank]
        flaws.append(Flaw("rows are not blank", "rows are blank, and left out", cases, rows + len(blank), True))
    if not ended and rows:
        last = body[body[:-1].rfind(b"\n") + 1 : -1].decode()
        what = "rows has no line end, and may be cut short"
        flaws.append(Flaw("the file ends with a line end", what, [repr(last[:60])], rows))
    return frame


def require_columns(found: Collection[Any], columns: Sequence[str]) -> None:
    """Raise a ValueError that names the columns that are not there."""
    missing = [column for column in columns if column not in found]
    if missing:
        raise ValueError(f"lacks the column(s) {', '.join(missing)}")


def usable_rows(frame: pd.DataFrame, columns: Sequence[str], key: Sequence[str], flaws: list[Flaw]) -> pd.DataFrame:
    """Keep the rows that can be used.

    Parameters
    ----------
    frame : DataFrame
        A table.
    columns : sequence of str
        Its columns; those of `WHOLE`, of `NUMBERS` and names of levels, conditions and series types are looked at.
    key : sequence of str
        Columns whose values together stand once; none if empty.
    flaws : list of Flaw
        Gets what was mended, and what cost rows.

    Returns
    -------
    DataFrame
        The usable rows; columns of `WHOLE` are int64, those of `NUMBERS` finite numbers.

    Raises
    ------
    ValueError
        If more than half of the rows cannot be used; the message goes on after the file's name.
    """
    known = {"condition": tuple(CONDITION_BY_TITLE), "level": LEVEL_LABELS if "condition" in columns else LEVELS,
             "series_description": SERIES_TYPES}  # fmt: skip
    frame = frame.reset_index(drop=True)
    changed = {name: _mend(frame, name, known[name], flaws) for name in columns if name in known}
    whole = {name: _whole(frame[name], WHOLE[name]) for name in columns if name in WHOLE}
    numbers = {name: _number(frame[name]) for name in columns if name in NUMBERS}
    good = {name: values >= 0 for name, values in whole.items()}
    fine = {name: pd.Series(np.isfinite(values), frame.index) for name, values in numbers.items()}
    fine |= {name: frame[name].map(_is_list).astype(bool) for name in columns if name in LISTS}
    fine |= {name: values.isin(known[name]) for name, values in changed.items() if name != "series_description"}
    limits = f"whole numbers from 0 to {LARGEST}, instance numbers to {LARGEST_INSTANCE}"
    lost = _lost(frame, good, "identifiers are whole numbers", limits, flaws)
    lost |= _lost(frame, fine, "values are known", "numbers, and names as the competition has them", flaws)
    frame = frame.assign(**changed, **whole, **numbers)[~lost]
    if key and (again := frame.duplicated(list(key))).any():
        cases = [" ".join(map(str, values)) for values in frame.loc[again, list(key)].to_numpy()]
        flaws.append(Flaw("rows are listed once", "rows left out, as listed again", cases, len(frame)))
        frame = frame[~again]
    return frame.reset_index(drop=True)


def _plain_text(content: bytes) -> bytes:
    """Check that a file is UTF-8 text; return it without a mark, its lines ended by line feeds."""
    expected = "expected UTF-8 (a spreadsheet's 'CSV UTF-8')"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"is UTF-16 text, {expected}")
    if content.startswith((b"\x1f\x8b", b"PK\3\4")):
        raise ValueError("is compressed, expected plain text")
    if b"\0" in content:
        raise ValueError(f"holds zero bytes: it is damaged, or UTF-16 text; {expected}")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is damaged or in another encoding (byte {error.start}), {expected}") from error
    return content.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _line_numbers(text: bytes) -> list[int]:
    """Find the numbers of the blank lines of a text that begins with a line feed."""
    numbers, line, position = [], 0, 0
    for match in _BLANK.finditer(text):
        line += text.count(b"\n", position, match.start() + 1)
        position = match.start() + 1
        numbers.append(line)
    return numbers


def _check_fields(text: str, width: int, ended: bool) -> None:
    """Check row by row that each has as many fields as the header; a ValueError names the first that has not."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise ValueError(f"cannot be read ({error})") from error
    for number, fields in enumerate(rows, 1):
        if len(fields) != width:
            cut = number == len(rows) and not ended and len(fields) < width
            what = "the file is cut in the middle of it" if cut else "it is damaged"
            raise ValueError(f"row {number} has {len(fields)} of {width} fields: {what}")


def _mend(frame: pd.DataFrame, name: str, known: Sequence[str], flaws: list[Flaw]) -> pd.Series:
    """Write known names as they should be, whatever their case and blanks."""
    column = frame[name].copy()
    odd = column[~column.isin(known)]
    if odd.empty:
        return column
    as_known = {_plain(value): value for value in known}
    right = odd.map(lambda value: as_known.get(_plain(value), value))
    mended = right.isin(known)
    if mended.any():
        column[right.index[mended]] = right[mended]
        cases = [f"{old!r} to {new!r}" for old, new in zip(odd[mended], right[mended], strict=True)]
        flaws.append(Flaw(f"each {name} is written as usual", f"{name}s mended", cases, len(frame), True))
    if name == "series_description" and not mended.all():
        what = f"{name}s are none of {', '.join(known)}, and nothing reads such series"
        series_ids = frame["series_id"][odd.index[~mended]]
        cases = [f"{series} {_shown(value)}" for series, value in zip(series_ids, odd[~mended], strict=True)]
        flaws.append(Flaw("series descriptions are known", what, cases, len(frame)))
    return column


def _plain(value: object) -> str:
    return " ".join(str(value).split()).casefold()


def _whole(column: pd.Series, largest: int) -> pd.Series:
    """Turn a column into whole numbers, -1 where it holds none from 0 to `largest`."""
    if is_integer_dtype(column) and column.between(0, largest).all():
        return column.astype(np.int64)
    digits = column.astype(str).str.strip().str.extract(r"^([0-9]{1,16})(?:\.0*)?$")[0]
    numbers = digits.fillna("-1").astype(np.int64)
    return numbers.where(numbers <= largest, -1)


def _number(column: pd.Series) -> pd.Series:
    """Turn a column into numbers, NaN where it holds none."""
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return column
    return pd.to_numeric(column.astype(str), errors="coerce").astype(np.float64)


def _lost(
    frame: pd.DataFrame, checks: Mapping[str, pd.Series], title: str, expected: str, flaws: list[Flaw]
) -> pd.Series:
    """Tell which rows fail a check; more than half of all is a ValueError."""
    lost = ~pd.DataFrame(checks, frame.index).all(axis=1)
    if lost.any():
        cases = [
            " and ".join(f"{name} {_shown(frame.at[row, name])}" for name, passed in checks.items() if not passed[row])
            for row in frame.index[lost]
        ]
        if len(cases) > len(frame) / 2:
            raise ValueError(str(Flaw(title, f"rows cannot be used, expected {expected}", cases, len(frame))))
        flaws.append(Flaw(title, f"rows left out, expected {expected}", cases, len(frame)))
    return lost


def _is_list(value: object) -> bool:
    try:
        return isinstance(value, list | tuple) and len(value) > 0 and math.isfinite(sum(value))
    except TypeError:
        return False


def _shown(value: object) -> str:
    return "blank" if value is None or value != value else repr(str(value)[:40])
