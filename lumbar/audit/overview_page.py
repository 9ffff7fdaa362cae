"""The audit as one HTML page that needs nothing else: pictures inside, light and dark, printable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from lumbar.audit.findings import Finding
from lumbar.audit.report import Report
from lumbar.html.page import Cell, Table, load_template
from lumbar.html.pictures import Picture, make_picture, read_cached_slice

MARKS: Final = {"left": "left", "right": "right", "canal": "canal", "stage1": "stage 1"}
"""Kinds of marks, and what the legend calls them."""


def to_html(report: Report, data: Path) -> str:
    """Write a report as a page.

    Parameters
    ----------
    report : Report
        The audit.
    data : Path
        The data folder, for the slices to show; those in no cache are left out.
    """
    found, passed = (
        [finding for finding in report.findings if (finding.severity == "ok") == ok] for ok in (False, True)
    )
    return load_template("page.html.j2", "lumbar.audit").render(
        report=report,
        overview=[Table(title, ["", *rows.columns], list(rows.itertuples())) for title, rows in report.overview],
        found=_findings("Checks with a finding", found),
        passed=_findings("Checks without a finding", passed),
        pictures={finding.title: list(_pictures(finding, data)) for finding in report.findings},
        kinds=MARKS,
    )


def _findings(label: str, findings: list[Finding]) -> Table:
    rows = [
        (Cell(each.severity, style=f"severity {each.severity}"), each.title,
         f"{each.cases:,} of {each.total:,}" if each.total else "",
         Cell(": ".join(filter(None, (each.text, each.examples))), style="text"))
        for each in findings
    ]  # fmt: skip
    return Table(label, ("", "Check", "Cases", "What was found"), rows)


def _pictures(finding: Finding, data: Path) -> Iterator[Picture]:
    """Show the slices of a finding; a point outside its image stands at the edge."""
    for exhibit in finding.exhibits:
        image = read_cached_slice(data, exhibit.study_id, exhibit.series_id, exhibit.instance_number)
        if image is not None:
            last = np.array(image.shape[::-1]) - 1
            places = [np.clip((mark.x, mark.y), 0, last).tolist() for mark in exhibit.marks]
            marks = [mark._replace(x=x, y=y) for mark, (x, y) in zip(exhibit.marks, places, strict=True)]
            place = f"{exhibit.study_id}/{exhibit.series_id}/{exhibit.instance_number}"
            yield make_picture(image, f"Slice {place}", f"{exhibit.caption}; {place}", marks=marks)
