"""The point of a picture that a cut is laid around, where a person named one."""

from __future__ import annotations

import math

from ..core.errors import DatasetError
from .buckets import CENTRE, Focus
from .items import DatasetItem


def focus_of(item: DatasetItem) -> Focus:
    """From the column ``focus`` of the metadata: two fractions, from the left and from the top.

    ``0.5 0.3`` keeps what stands in the middle, a little above the centre: a head, mostly.
    Percents are read too: ``50% 30%``.

    Raises:
        DatasetError: there is something else in the column.
    """
    text = item.focus
    if not text:
        return CENTRE
    try:
        x, y = (_fraction(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise DatasetError(
            f"The focus of {item.name} is {text!r}",
            expected="two numbers from 0 to 1, from the left and from the top, such as 0.5 0.3",
            remedy="Correct the column focus in the metadata, or empty it for the middle",
        ) from error
    return x, y


def _fraction(word: str) -> float:
    value = float(word[:-1]) / 100 if word.endswith("%") else float(word)
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"{word} is not between 0 and 1")
    return value
