"""What a check says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from lumbar.html.pictures import Mark

Severity = Literal["error", "warning", "info", "ok"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info", "ok")
"""The worst first. An error makes the data unfit to train on."""

ERROR_SHARE: Final = 0.05
"""Share of cases above which what would be a warning is an error: odd labels are part of the real data, but few."""

FEW: Final = 3
"""Fewer cases than this are odd ones out and no error, whatever their share of a small data set."""

MAX_EXAMPLES: Final = 4
"""How many cases a finding names on the screen and on the page; the table of findings (``--csv``) names all."""

MAX_EXHIBITS: Final = 12
"""How many slices a finding shows."""


class Exhibit(NamedTuple):
    """A slice that looks wrong, and the points that make it so."""

    study_id: int
    series_id: int
    instance_number: int
    caption: str
    marks: tuple[Mark, ...]
    """Points of the kinds ``left``, ``right``, ``canal`` and ``stage1``."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    severity : str
        One of `SEVERITIES`.
    title : str
        What was looked for.
    text : str
        What it means, and what to do; a phrase without a full stop.
    named : tuple of str
        The cases.
    cases, total : int
        How many of how many; no total where nothing can be counted.
    exhibits : tuple of Exhibit
        Slices to look at.
    """

    severity: Severity
    title: str
    text: str = ""
    named: tuple[str, ...] = ()
    cases: int = 0
    total: int = 0
    exhibits: tuple[Exhibit, ...] = ()

    @property
    def examples(self) -> str:
        """The first cases, in words."""
        return ", ".join(self.named[:MAX_EXAMPLES]) + (", ..." if len(self.named) > MAX_EXAMPLES else "")


def judge(
    title: str,
    cases: Iterable[object],
    total: int,
    text: str,
    *,
    error_above: float = ERROR_SHARE,
    mildest: Severity = "warning",
    exhibits: Sequence[Exhibit] = (),
) -> Finding:
    """Make a finding of a list of cases: ok if there are none, an error if too many, else `mildest`.

    Parameters
    ----------
    title : str
        What was looked for.
    cases : iterable
        The offenders.
    total : int
        Out of how many.
    text : str
        What it means.
    error_above : float
        Share above which it is an error, from `FEW` cases on; 1 never, 0 always.
    mildest : str
        Severity up to that share.
    exhibits : sequence of Exhibit
        Slices to look at; the first `MAX_EXHIBITS` are kept.
    """
    offenders = list(cases)
    if not offenders:
        return Finding("ok", title, total=total)
    many = len(offenders) > error_above * total and (len(offenders) >= FEW or not error_above)
    severity: Severity = "error" if many else mildest
    return Finding(
        severity, title, text, tuple(map(str, offenders)), len(offenders), total, tuple(exhibits[:MAX_EXHIBITS])
    )


def note(title: str, cases: Iterable[object], total: int, text: str, *, exhibits: Sequence[Exhibit] = ()) -> Finding:
    """Make a finding of something that real data have and that training copes with, however often it occurs."""
    return judge(title, cases, total, text, error_above=1, mildest="info", exhibits=exhibits)
