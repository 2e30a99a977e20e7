"""Lint, mend, look again: until there is nothing left of what was chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from ..items import Dataset
from .apply import LAST, Applied, apply_fixes, chosen, new_fix_id, undo_fixes
from .context import LintContext
from .follow import follow, roots_of
from .report import LintReport
from .run import lint

MOST_ROUNDS = 8
"""A caption may first get another encoding, then its name; more than a few rounds never help."""


@dataclass(frozen=True)
class Mended:
    """A dataset after its fixes.

    Attributes:
        dataset: with the report in it.
        report: what is left.
        applied: what was done.
    """

    dataset: Dataset
    report: LintReport
    applied: Applied


def lint_and_mend(make: Callable[[Dataset], LintContext], dataset: Dataset, fix: str) -> Mended:
    """Lint a dataset and apply the chosen fixes.

    Args:
        make: the context of a dataset; its looks should be the same each time.
        dataset: as it was read.
        fix: see :func:`.apply.chosen`.

    Raises:
        ConfigError: a rule does not exist.
        DatasetError: a disk refuses, or a file changed in between.
    """
    chosen([], fix)
    report = lint(make(dataset))
    fix_id, applied = new_fix_id(), Applied("")
    for _ in range(MOST_ROUNDS):
        wanted = chosen(report.findings, fix)
        if not wanted:
            applied = dataclasses.replace(applied, skipped=())
            break
        done = apply_fixes(wanted, fix_id)
        applied = _joined(applied, done)
        if not done.sets:
            break
        dataset = follow(dataset, done.sets)
        report = lint(make(dataset))
    return Mended(dataclasses.replace(dataset, lint=report), report, applied)


def undone(dataset: Dataset, fix_id: str = LAST) -> tuple[Dataset, str]:
    """Take fixes back; returns the dataset after it, and what was done, for people.

    Raises:
        DatasetError: there are none of this id, or a file was changed since.
    """
    sets = undo_fixes(roots_of(dataset), fix_id)
    count = sum(len(made.rows) for made in sets)
    return follow(dataset, sets), f"Took back {count} changes of {sets[0].reason.split(':')[0]}."


def _joined(before: Applied, after: Applied) -> Applied:
    """What was left out earlier is found again, and then done or left out again."""
    return Applied(
        before.id or after.id, before.sets + after.sets, before.done + after.done, after.skipped
    )
