"""What is wrong or remarkable with a LoRA file, as data: converters stop at it, reports show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that was found.

    Attributes:
        rule: short id, the same for all files, such as ``wrong-base``.
        level: ``error`` (the LoRA or a part of it cannot work), ``warning`` or ``note``.
        text: what was found, in a sentence.
        remedy: what to do.
        subject: key or module it is about; empty for the whole file.
    """

    rule: str
    level: str
    text: str
    remedy: str
    subject: str = ""


LEVELS = ERROR, WARNING, NOTE = "error", "warning", "note"
