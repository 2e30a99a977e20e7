"""Runs every rule over a dataset."""

from __future__ import annotations

from ...core.errors import ConfigError, shorten
from .context import LintContext
from .finding import LEVELS, Finding
from .report import LintReport
from .rule import TOKENS, Rule, rules

LEFT_OUT = "left out by you"
"""Why a rule was not run that the person named in ``without``."""


def lint(context: LintContext, *, without_pixels: bool = False) -> LintReport:
    """Look for everything that is wrong.

    Args:
        context: the dataset, and what may be asked.
        without_pixels: leave out the rules that decode pictures.

    Raises:
        ConfigError: a rule that shall be left out does not exist.
    """
    left_out = _left_out(context.settings.without)
    findings: list[Finding] = []
    skipped: dict[str, str] = {}
    for rule in rules().values():
        context.progress.check_cancelled()
        reason = LEFT_OUT if rule.name in left_out else _lacks(rule, context)
        if without_pixels and rule.decodes:
            reason = "looks at pixels"
        if reason:
            skipped[rule.name] = reason
            continue
        findings += rule.check(context)
    ordered = sorted(findings, key=lambda finding: LEVELS.index(finding.level))
    return LintReport(context.dataset.name, len(context.dataset), tuple(ordered), skipped)


def _left_out(text: str) -> set[str]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(rules()))
    if unknown:
        raise ConfigError(
            f"There is no rule {shorten(unknown)}",
            expected=f"some of: {', '.join(rules())}",
            remedy="Correct the name",
        )
    return names


def _lacks(rule: Rule, context: LintContext) -> str | None:
    """Why a rule cannot be run; None when it can."""
    if rule.needs is None or getattr(context, rule.needs) is not None:
        return None
    what = "a CLIP" if rule.needs == TOKENS else "a CLIP_VISION model"
    return f"needs {what} to be connected"
