"""The audit as one HTML page that needs nothing else: thumbnails inside, light and dark, printable."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from lumbar.audit.findings import Finding
from lumbar.audit.report import Report
from lumbar.audit.thumbnails import COLOURS, thumbnail
from lumbar.html.page import load_template
from lumbar.html.pictures import data_uri


class Picture(NamedTuple):
    """A thumbnail as the page shows it."""

    uri: str
    caption: str
    place: str


def to_html(report: Report, data: Path) -> str:
    """Write a report as a page.

    Parameters
    ----------
    report : Report
        The audit.
    data : Path
        The data folder, for the slices to show.
    """
    return load_template("page.html.j2", "lumbar.audit").render(
        report=report,
        pictures={finding.title: _pictures(finding, data) for finding in report.findings},
        colours=COLOURS,
    )


def _pictures(finding: Finding, data: Path) -> list[Picture]:
    pictures = []
    for exhibit in finding.exhibits:
        drawn = thumbnail(data, exhibit)
        if drawn is not None:
            place = f"{exhibit.study_id}/{exhibit.series_id}/{exhibit.instance_number}"
            pictures.append(Picture(data_uri(drawn), exhibit.caption, place))
    return pictures
