"""A dataset in a few lines for people."""

from __future__ import annotations

from collections import Counter

from ..core.errors import shorten
from .items import ROLES, TRAIN, Dataset
from .token_layout import TokenCounter, TokenLayout
from .written import CAPTION, text_of

CHUNK_MARK = "┃"
"""Stands where a chunk ends and the text encoder starts anew."""
_MOST_SUBJECTS = 8


def describe(dataset: Dataset) -> str:
    """How many pictures, captions and subjects there are, and what should be known."""
    captioned = sum(bool(item.caption) for item in dataset.items)
    masked = sum(item.mask is not None for item in dataset.items)
    also = f", {masked} with a mask" if masked else ""
    lines = [f"{dataset.name}: {len(dataset)} pictures, {captioned} with a caption{also}."]
    roles = Counter(item.role for item in dataset.items)
    if set(roles) - {TRAIN}:
        lines.append(f"Roles: {', '.join(f'{role} {roles[role]}' for role in ROLES)}.")
    times = Counter(item.repeats for item in dataset.items)
    if set(times) - {1.0}:
        shown = [f"{count} pictures {often:g} times" for often, count in sorted(times.items())]
        lines.append(f"Shown in a round: {shorten(shown, _MOST_SUBJECTS)}.")
    subjects = Counter(item.subject for item in dataset.items if item.subject)
    if subjects:
        shown = [f"{name} {count}" for name, count in subjects.most_common(_MOST_SUBJECTS)]
        more = " and more" if len(subjects) > _MOST_SUBJECTS else ""
        lines.append(f"Subjects: {', '.join(shown)}{more}.")
    return "\n".join([*lines, *_bad_files(dataset), *dataset.notes])


def _bad_files(dataset: Dataset) -> list[str]:
    """Every one of them: a report that ends in "and 12 more" would have to be asked again."""
    if not dataset.faults:
        return []
    count = len(dataset.faults)
    return [
        f"{count} files could not be used and were left out; training refuses the dataset until "
        "they are mended or moved into a folder named rejected:",
        *(f"- {fault.error.found}" for fault in dataset.faults),
    ]


def preview_captions(
    dataset: Dataset, count: int = 8, variable: str = "", tokens: TokenCounter | None = None
) -> str:
    """The first few captions (or values of a variable), one a line, each with its picture's name.

    Args:
        dataset: the pictures.
        count: how many are shown.
        variable: empty for the captions.
        tokens: counts those of captions, and a mark shows where a chunk ends.
    """
    shown = [
        f"{item.name}: {_shown(text_of(item, variable or CAPTION), variable, tokens)}"
        for item in dataset.items[:count]
    ]
    rest = len(dataset) - count
    return "\n".join([*shown, *([f"… and {rest} more"] if rest > 0 else [])])


def marked_caption(caption: str, tokens: TokenCounter | None) -> str:
    """A caption with marks where chunks end, and the count of its tokens: ``… [73/75 tokens]``."""
    if tokens is None:
        return caption
    layout = tokens.layout(caption)
    ends = [chunk[-1].end for chunk in layout.chunks[:-1] if chunk]
    marked = caption
    for end in reversed(ends):
        marked = f"{marked[:end]}{CHUNK_MARK}{marked[end:]}"
    return f"{marked} [{count_text(layout)}]"


def count_text(layout: TokenLayout) -> str:
    """``73/75 tokens``; of several chunks ``91 tokens: 75 + 16``; without chunks ``91 tokens``."""
    if layout.capacity is None:
        return f"{layout.count} tokens"
    if len(layout.chunks) < 2:
        return f"{layout.count}/{layout.capacity} tokens"
    return f"{layout.count} tokens: {' + '.join(str(len(chunk)) for chunk in layout.chunks)}"


def _shown(text: str | None, variable: str, tokens: TokenCounter | None) -> str:
    if not text:
        return "(none)"
    return text if variable else marked_caption(text, tokens)
