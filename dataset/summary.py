"""A dataset in a few lines for people."""

from __future__ import annotations

from collections import Counter

from .items import Dataset

_MOST_SUBJECTS = 8


def describe(dataset: Dataset) -> str:
    """How many pictures, captions and subjects there are, and what should be known."""
    captioned = sum(bool(item.caption) for item in dataset.items)
    masked = sum(item.mask is not None for item in dataset.items)
    also = f", {masked} with a mask" if masked else ""
    lines = [f"{dataset.name}: {len(dataset)} pictures, {captioned} with a caption{also}."]
    subjects = Counter(item.subject for item in dataset.items if item.subject)
    if subjects:
        shown = [f"{name} {count}" for name, count in subjects.most_common(_MOST_SUBJECTS)]
        more = " and more" if len(subjects) > _MOST_SUBJECTS else ""
        lines.append(f"Subjects: {', '.join(shown)}{more}.")
    return "\n".join([*lines, *dataset.notes])


def preview_captions(dataset: Dataset, count: int = 8) -> str:
    """The first few captions, one a line, each with its picture's name."""
    shown = [f"{item.name}: {item.caption or '(none)'}" for item in dataset.items[:count]]
    rest = len(dataset) - count
    return "\n".join([*shown, *([f"… and {rest} more"] if rest > 0 else [])])
