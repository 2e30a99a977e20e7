"""A dataset in a few lines for people."""

from __future__ import annotations

from collections import Counter

from .items import Dataset
from .written import CAPTION, text_of

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


def preview_captions(dataset: Dataset, count: int = 8, variable: str = "") -> str:
    """The first few captions (or values of a variable), one a line, each with its picture's name.

    Args:
        dataset: the pictures.
        count: how many are shown.
        variable: empty for the captions.
    """
    shown = [
        f"{item.name}: {text_of(item, variable or CAPTION) or '(none)'}"
        for item in dataset.items[:count]
    ]
    rest = len(dataset) - count
    return "\n".join([*shown, *([f"… and {rest} more"] if rest > 0 else [])])
