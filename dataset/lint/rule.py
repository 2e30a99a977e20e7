"""What a rule of the lint is; each file in ``rules`` declares one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...core.registry import declared_objects
from .context import LintContext
from .finding import WARNING, Finding

TOKENS, VISION = "tokens", "vision"


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        name: its id, in reports and in the list of rules to leave out: ``near-miss-caption``.
        doc: what it finds, and why that matters, for the help page. One or two sentences.
        check: yields the findings, in the dataset's order.
        needs: :data:`TOKENS` or :data:`VISION`, without which it is skipped; and said to be.
        levels: those that its findings may have, worst first.
        fixes: what its fix does, for the help page; empty where only a person can mend it.
        decodes: whether it looks at pixels, which takes time. Training does not wait for that.
    """

    name: str
    doc: str
    check: Callable[[LintContext], Iterable[Finding]]
    needs: str | None = None
    levels: tuple[str, ...] = (WARNING,)
    fixes: str = ""
    decodes: bool = False


def rules() -> Mapping[str, Rule]:
    """Every rule by name."""
    from . import rules as package

    return declared_objects(package, "RULE")
