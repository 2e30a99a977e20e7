"""Mending what was found: the fixes that a person chose, so that all of it can be taken back.

One lint's fixes carry one word in the reasons of their journals, by which they are taken back
together, however many folders and rounds there were.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import ConfigError, DatasetError, KilnError, shorten
from ..change_journal import UNDONE
from ..changes import Change, ChangeSet, MoveFile, WriteFile, apply_changes, list_changes, undo
from ..own_files import contained_file
from .finding import Finding, Fix
from .folder import same_to_a_person
from .rule import rules

NOTHING, SAFE, ALL = "nothing", "safe", "all"
LAST = "last"
_REASON = "Lint"
MOST_BYTES = 256 * 2**20
"""Data that is held at a time; more becomes a further set of changes."""


@dataclass(frozen=True)
class Applied:
    """What was mended.

    Attributes:
        id: by which it is taken back; empty where nothing was done.
        sets: the journals, in order.
        done: the findings that were mended.
        skipped: those that were not, though chosen, and why.
    """

    id: str
    sets: tuple[ChangeSet, ...] = ()
    done: tuple[Finding, ...] = ()
    skipped: tuple[tuple[Finding, str], ...] = ()

    def text(self) -> str:
        """What was done, for people; empty where nothing was."""
        lines = []
        if self.done:
            texts = [finding.fix.text for finding in self.done if finding.fix]
            lines.append(f"Mended {len(texts)}: {shorten(texts, 12)}.")
            lines.append(f"To take that back, undo {self.id}.")
        for finding, why in self.skipped[:5]:
            lines.append(f"Not mended ({finding.rule}): {why}.")
        if len(self.skipped) > 5:
            lines.append(f"… and {len(self.skipped) - 5} more were not mended.")
        return "\n".join(lines)


def chosen(findings: Iterable[Finding], what: str) -> list[Finding]:
    """The findings whose fixes shall be applied.

    Args:
        findings: all.
        what: ``nothing``, ``safe``, or names of rules with commas between, of which also fixes
            that are not safe are taken. ``safe`` may stand among the names.

    Raises:
        ConfigError: a rule does not exist.
    """
    words = {word.strip() for word in what.split(",") if word.strip()} - {NOTHING}
    unknown = sorted(words - set(rules()) - {SAFE})
    if unknown:
        raise ConfigError(
            f"There is no rule {shorten(unknown)} to mend",
            expected=f"{SAFE}, or some of: {', '.join(rules())}",
            remedy="Correct the name",
        )
    return [
        finding for finding in findings
        if finding.fix is not None
        and (finding.rule in words or (SAFE in words and finding.fix.safe))
    ]


def new_fix_id() -> str:
    """A word for the fixes of one lint."""
    return uuid.uuid4().hex[:8]


def apply_fixes(findings: Sequence[Finding], fix_id: str) -> Applied:
    """Apply the fixes of these findings, folder by folder.

    A fix that touches a file of an earlier one is left for the next round; one whose files are
    no longer as they were is left out; both are said. If a disk refuses, all is taken back.

    Args:
        findings: each with a fix.
        fix_id: from :func:`new_fix_id`.

    Raises:
        DatasetError: the disk refuses; everything is as before.
    """
    done: list[Finding] = []
    skipped: list[tuple[Finding, str]] = []
    touched: set[str] = set()
    by_root: dict[Path, list[Finding]] = {}
    for finding in findings:
        assert finding.fix is not None
        files = _files(finding.fix)
        why = "an earlier fix changes the same file; lint again" if files & touched else (
            _obstacle(finding.fix)
        )
        if why:
            skipped.append((finding, why))
            continue
        touched |= files
        by_root.setdefault(finding.fix.origin.root, []).append(finding)
        done.append(finding)
    sets: list[ChangeSet] = []
    try:
        for root, ours in by_root.items():
            for number, part in enumerate(_parts(ours), start=1):
                more = "" if number == 1 else f", part {number}"
                reason = f"{_REASON} {fix_id}: {len(part)} changes{more}"
                sets.append(apply_changes(root, part, reason=reason))
    except BaseException:
        for made in reversed(sets):
            undo(made.root, made.id)
        raise
    return Applied(fix_id if sets else "", tuple(sets), tuple(done), tuple(skipped))


def undo_fixes(roots: Iterable[Path], fix_id: str = LAST) -> list[ChangeSet]:
    """Take back the fixes of a lint, in all of these folders; the latest change first.

    Args:
        roots: the dataset's folders.
        fix_id: as :class:`Applied` told it; the name of a set of changes; or ``last`` for the
            latest lint whose fixes are not taken back yet.

    Raises:
        DatasetError: there is none, or a file was changed since.
    """
    found = sorted(
        (made for root in dict.fromkeys(roots) for made in list_changes(root)),
        key=lambda made: made.id, reverse=True,
    )
    if fix_id == LAST:
        ours = [m for m in found if _word(m) and m.status != UNDONE]
        fix_id = _word(ours[0]) if ours else ""
    wanted = [made for made in found if fix_id and fix_id in (_word(made), made.id)]
    if not wanted:
        ids = list(dict.fromkeys(_word(m) for m in found if _word(m) and m.status != UNDONE))
        raise DatasetError(
            f"There are no fixes {fix_id} to take back" if fix_id else
            "There are no fixes to take back",
            expected=f"one of {shorten(ids, 6)}" if ids else "a folder whose faults were mended",
            remedy="Look up the id in the report of the lint that mended something",
        )
    return [undo(made.root, made.id) for made in wanted]


def _word(made: ChangeSet) -> str:
    """The id of the lint that made a set of changes; empty for another's."""
    first, _, rest = made.reason.partition(" ")
    return rest.partition(":")[0] if first == _REASON else ""


def _parts(findings: Sequence[Finding]) -> Iterator[list[Change]]:
    """Their changes, in parts whose data fits into memory. One fix is never parted."""
    part: list[Change] = []
    size = 0
    for finding in findings:
        assert finding.fix is not None
        changes = finding.fix.made()
        part += changes
        size += sum(len(c.data) for c in changes if isinstance(c, WriteFile))
        if size > MOST_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _files(fix: Fix) -> set[str]:
    """Every file that a fix touches, as one that no disk mistakes for another."""
    names = [change.path for change in fix.changes]
    names += [change.to for change in fix.changes if isinstance(change, MoveFile)]
    root = os.path.realpath(fix.origin.root)
    return {same_to_a_person(f"{root}/{name}") for name in names}


def _obstacle(fix: Fix) -> str:
    """Why a fix can no longer be applied; empty where it can."""
    root = fix.origin.root
    try:
        moved = {change.path for change in fix.changes if isinstance(change, MoveFile)}
        for change in fix.changes:
            if not isinstance(change, MoveFile):
                continue
            source, target = contained_file(root, change.path), contained_file(root, change.to)
            if not os.path.lexists(source):
                return f"{change.path} is no longer there"
            in_the_way = os.path.lexists(target) and change.to not in moved
            if in_the_way and not os.path.samefile(source, target):
                return f"{change.to} is there already"
    except (OSError, KilnError) as error:
        return str(error)
    return ""
