"""Runs every check, and says whether the data is fit to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pandas as pd

from lumbar.anatomy import TARGETS
from lumbar.audit import file_checks, label_checks, place_checks, slice_checks
from lumbar.audit.findings import SEVERITIES, Finding
from lumbar.audit.inputs import TABLES, Inputs, TableMissing
from lumbar.audit.overview import as_text, overview

Check = Callable[[Inputs], Iterator[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    *file_checks.CHECKS,
    *label_checks.CHECKS,
    *place_checks.CHECKS,
    *slice_checks.CHECKS,
)

CSV_COLUMNS: Final = ["severity", "check", "case", "text"]
"""Columns of the table of findings."""


class Report(NamedTuple):
    """An audit, ready to be shown."""

    data: str
    overview: list[tuple[str, pd.DataFrame]]
    findings: list[Finding]
    """The worst first."""
    fit: bool
    verdict: str


def audit(inputs: Inputs) -> Report:
    """Run every check that the tables at hand allow."""
    findings = list(inputs.problems)
    skipped: Counter[str] = Counter()
    for check in CHECKS:
        try:
            findings += list(check(inputs))
        except TableMissing as missing:
            skipped[missing.name] += 1
    for name, count in skipped.items():
        text = f"as they need {TABLES[name].path}, made by {TABLES[name].made_by}"
        findings.append(Finding("info", "all checks are done", f"skipped, {text}", cases=count, total=len(CHECKS)))
    if inputs.files["train"].empty:
        findings.append(Finding("error", "there are slices", "train_images holds no <study>/<series>/<instance>.dcm"))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    fit, verdict = _verdict(inputs, findings)
    return Report(str(inputs.data), list(overview(inputs)), findings, fit, verdict)


def _verdict(inputs: Inputs, findings: list[Finding]) -> tuple[bool, str]:
    """Say in one line whether the data is fit to train on, and why."""
    errors = [finding for finding in findings if finding.severity == "error"]
    warnings = sum(finding.severity == "warning" for finding in findings)
    if errors:
        worst = errors[0]
        share = f" on {worst.cases:,} of {worst.total:,}" if worst.total else ""
        more = f" (and {len(errors) - 1} more errors)" if errors[1:] else ""
        return False, f"not fit to train on: {worst.title!r} fails{share}: {worst.text}{more}"
    reason = f"no errors, {warnings} warnings"
    if "meta" not in inputs.tables:
        reason += "; run scripts/prepare.py for the checks that need the metadata"
    if inputs["train"][list(TARGETS)].isna().all(axis=None):
        return True, f"fit to train the localisers only: train.csv holds no grades ({reason})"
    return True, f"fit to train on: {reason}"


def to_csv(report: Report) -> str:
    """Write every case of every finding as a row; a finding without cases is a row too."""
    rows = [
        (finding.severity, finding.title, case, finding.text)
        for finding in report.findings
        if finding.severity != "ok"
        for case in finding.named or ("",)
    ]
    return pd.DataFrame(rows, columns=CSV_COLUMNS).to_csv(index=False, lineterminator="\n")


def to_text(report: Report) -> str:
    """Write a report for a terminal."""
    lines = []
    for title, rows in report.overview:
        lines += [title, *("  " + line for line in as_text(rows)), ""]
    passed = [finding for finding in report.findings if finding.severity == "ok"]
    lines.append("Checks")
    for finding in report.findings:
        if finding.severity != "ok":
            count = f"{finding.cases:,} of {finding.total:,}; " if finding.total else ""
            what = f"{finding.title}: {count}{finding.text}"
            lines.append(f"  {finding.severity:<9}{what}" + (f": {finding.examples}" if finding.examples else ""))
    lines += [f"  ok       {finding.title} ({finding.total:,})" for finding in passed]
    return "\n".join([*lines, "", f"{report.data}: {report.verdict}"])
