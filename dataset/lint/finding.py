"""What a rule found, and how it can be mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..changes import Change
from ..items import Origin

ERROR, WARNING, INFO = "error", "warning", "info"
LEVELS = (ERROR, WARNING, INFO)
"""Worst first. Training stops at errors, unless the person says otherwise."""


@dataclass(frozen=True)
class Fix:
    """How a finding can be mended, so that it can be taken back.

    Attributes:
        origin: the folder whose files change.
        changes: in order; done together or not at all.
        text: what it does, for a person to agree to: ``rename imag123.txt to image123.txt``.
        safe: whether it may be applied without looking at each one. A guess is not safe.
        make: for changes that hold much data: makes them only when they are wanted; ``changes``
            then has what they touch, with empty data.
    """

    origin: Origin
    changes: tuple[Change, ...]
    text: str
    safe: bool = True
    make: Callable[[], tuple[Change, ...]] | None = None

    def made(self) -> tuple[Change, ...]:
        """The changes with their data.

        Raises:
            DatasetError: a file is no longer what it was when it was looked at.
        """
        return self.changes if self.make is None else self.make()


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know of.

    Attributes:
        rule: name of the rule.
        level: one of :data:`LEVELS`.
        text: what was found and why it matters, one or two sentences that name the file.
        items: names of the pictures concerned, as in ``DatasetItem.name``.
        files: other files concerned, POSIX paths below their dataset's folder.
        fix: how to mend it; None where only a person can.
        data: figures for the JSON report.
    """

    rule: str
    level: str
    text: str
    items: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    fix: Fix | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
