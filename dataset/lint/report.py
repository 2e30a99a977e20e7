"""The findings as text for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .finding import ERROR, LEVELS, Finding


@dataclass(frozen=True)
class LintReport:
    """What was found.

    Attributes:
        dataset: its name.
        pictures: how many it has.
        findings: worst first, within a level by rule and in the dataset's order.
        skipped: why a rule was not run, by its name.
    """

    dataset: str
    pictures: int
    findings: tuple[Finding, ...]
    skipped: Mapping[str, str]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings at which training stops."""
        return tuple(finding for finding in self.findings if finding.level == ERROR)

    def counts(self) -> dict[str, int]:
        """How many findings of each level."""
        return {level: sum(f.level == level for f in self.findings) for level in LEVELS}

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "dataset": self.dataset,
            "pictures": self.pictures,
            "counts": self.counts(),
            "findings": [_row(finding) for finding in self.findings],
            "skipped": dict(self.skipped),
        }


def _row(finding: Finding) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rule": finding.rule,
        "level": finding.level,
        "text": finding.text,
        "items": list(finding.items),
        "files": list(finding.files),
        **({"data": dict(finding.data)} if finding.data else {}),
    }
    if finding.fix is None:
        return row
    return row | {"fix": finding.fix.text, "safe": finding.fix.safe}
