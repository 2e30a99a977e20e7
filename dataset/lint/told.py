"""A report as text: the worst first, and short even where a rule has thousands of findings."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import ERROR, INFO, WARNING, Finding
from .report import LintReport

MOST_SHOWN = 5
_TITLES = {ERROR: "ERRORS, which stop the training", WARNING: "WARNINGS", INFO: "GOOD TO KNOW"}


def told(report: LintReport, *, most: int = MOST_SHOWN) -> str:
    """The report for people.

    Args:
        report: what was found.
        most: findings of a rule that are told in full.
    """
    return "\n".join(_lines(report, most))


def summary(report: LintReport) -> str:
    """One line."""
    counts = report.counts()
    words = [
        _many(counts[ERROR], "error"), _many(counts[WARNING], "warning"),
        f"{counts[INFO]} good to know",
    ]
    return f"{report.dataset}: {_many(report.pictures, 'picture')}, {', '.join(words)}."


def _lines(report: LintReport, most: int) -> Iterator[str]:
    yield summary(report)
    for level, title in _TITLES.items():
        by_rule: dict[str, list[Finding]] = {}
        for finding in report.findings:
            if finding.level == level:
                by_rule.setdefault(finding.rule, []).append(finding)
        if by_rule:
            yield from ("", title)
        # What is found often comes last, so that single findings are not buried under it.
        for rule, findings in sorted(by_rule.items(), key=lambda entry: len(entry[1])):
            yield from _rule_lines(rule, findings, most)
    if report.skipped:
        yield ""
        yield "Not looked for: " + "; ".join(f"{n} ({why})" for n, why in report.skipped.items())
    yield from _fix_lines(report)


def _rule_lines(rule: str, findings: list[Finding], most: int) -> Iterator[str]:
    yield f"  {rule}" + (f" ({len(findings)})" if len(findings) > 1 else "")
    for finding in findings[:most]:
        yield f"    {finding.text}"
        if finding.fix is not None:
            how = "can be mended" if finding.fix.safe else "can be mended if you say so"
            yield f"      {how}: {finding.fix.text}"
    if len(findings) > most:
        yield f"    … and {len(findings) - most:,} more"


def _fix_lines(report: LintReport) -> Iterator[str]:
    fixes = [finding.fix for finding in report.findings if finding.fix is not None]
    safe = sum(fix.safe for fix in fixes)
    if not fixes:
        return
    yield ""
    yield f"{_many(safe, 'finding')} can be mended safely, and {len(fixes) - safe} if you say so."


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
