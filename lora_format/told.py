"""A report as text for people."""

from __future__ import annotations

from collections import Counter

from .finding import Finding
from .inspect import Report
from .verdict import sentence

LIKE = 3
"""Findings of one rule that are told in full; there may be hundreds."""


def told(report: Report) -> str:
    """A report for people, the verdict first."""
    lines = [report.path, f"  {report.verdict}", f"  {report.remedy}"]
    if report.family:
        lines.append(f"  format    {', '.join(report.formats) or 'unknown'}")
        lines.append(f"  model     {report.family}")
        lines.append(f"  keys      {report.matched} read by ComfyUI, {len(report.unmatched)} not")
    for title, attribute in (
        ("layers", "component"), ("kind", "algorithm"), ("rank", "rank"), ("alpha", "alpha"),
    ):
        counts = report.counts(attribute)
        if counts:
            text = ", ".join(f"{name} × {count}" for name, count in list(counts.items())[:6])
            lines.append(f"  {title:<9} {text}")
    others = [item for item in report.findings if sentence(item.text) != report.verdict]
    return "\n".join(lines + _findings(others))


def _findings(findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    told_of: Counter[str] = Counter()
    for finding in findings:
        told_of[finding.rule] += 1
        if told_of[finding.rule] <= LIKE:
            lines.append(f"  {finding.level:<9} {finding.text}")
    for rule, count in told_of.items():
        if count > LIKE:
            lines.append(f"  and {count - LIKE} more like it ({rule})")
    return lines
