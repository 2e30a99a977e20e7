"""Which of a file's findings decides the verdict, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable

from .finding import ERROR, NOTE, Finding

IN_ORDER = "in-order"
ORDER = (
    "not-a-file", "another-kind", "no-lora", "embeddings-only", "wrong-base", "unknown-model",
    "several-models",
    "not-a-number", "orphan-factor", "alpha-no-number", "transposed", "factors-do-not-fit",
    "magnitudes-do-not-fit", "wrong-widths", "two-changes", "alpha-pattern", "unread-names",
    "old-comfyui", "vector-magnitudes", "dora-over-outputs", "oft-rescale", "lokr-core",
    "oft-limit", "double-strength", "hidden-alpha", "zero-layers", "tripled-rank", "alpha-zero",
    "not-understood", "text-encoder-only", "alpha-one", "embeddings-inside", "duplicate-target",
    "written-twice",
)
"""The gravest first; errors come before warnings whatever their place."""


def decisive(findings: Iterable[Finding]) -> Finding | None:
    """The finding that decides; None if there is none but notes."""
    grave = [finding for finding in findings if finding.level != NOTE]
    return min(grave, key=_gravity, default=None)


def _gravity(finding: Finding) -> tuple[bool, int]:
    place = ORDER.index(finding.rule) if finding.rule in ORDER else len(ORDER)
    return finding.level != ERROR, place


def sentence(text: str) -> str:
    """With a full stop, and a capital where the first word is no name of a file or a key."""
    first = text.split(" ")[0]
    start = text[:1].upper() if first.isalpha() else text[:1]
    return start + text[1:].rstrip(" .") + "."
