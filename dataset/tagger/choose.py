"""From a tagger's probabilities to the text of a caption."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .settings import ALPHABETICAL, AS_TAG, BY_CATEGORY, FIRST, OFF, TagSettings
from .table import CHARACTER, GENERAL, OTHER, RATING, TagTable

KAOMOJI = frozenset(
    (
        "0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9",
        ">_o", "@_@", "^_^", "o_o", "u_u", "x_x", "|_|", "||_||",
    )
)
"""Emoticons among Danbooru's tags: their underscore is a mouth, not a space."""


@dataclass(frozen=True)
class Chosen:
    """What a picture was found to show.

    Attributes:
        words: tags as they are written, in order, the rating last where it is wanted as a tag.
        rating: the likeliest rating; empty for taggers without ratings.
        probabilities: those of the chosen tags, by the tag list's own names.
    """

    words: tuple[str, ...]
    rating: str
    probabilities: dict[str, float]

    def text(self, separator: str) -> str:
        """The tags as one text."""
        return separator.join(self.words)


def choose_tags(
    probabilities: np.ndarray, table: TagTable, settings: TagSettings, general_threshold: float
) -> Chosen:
    """Take the tags above their threshold, order and write them.

    Args:
        probabilities: (T,) in 0..1, one for each tag of the table.
        table: names and categories.
        settings: how to choose and write.
        general_threshold: of all tags that are neither characters nor ratings.
    """
    banned = {_plain(tag) for tag in split_tags(settings.blacklist)}
    limits = np.full(len(table), general_threshold, dtype=np.float64)
    no_names = settings.characters == OFF
    limits[table.of(CHARACTER)] = np.inf if no_names else settings.character_threshold
    limits[table.of(RATING)] = np.inf
    (likely,) = np.nonzero(probabilities > limits)
    taken = [index for index in likely.tolist() if _plain(table.names[index]) not in banned]
    ordered = _ordered(taken, probabilities, table, settings)
    rating = _rating(probabilities, table)
    words = [_written(table.names[index], settings) for index in ordered]
    if settings.rating == AS_TAG and rating and _plain(rating) not in banned:
        words.append(_written(rating, settings))
    found = {table.names[index]: round(float(probabilities[index]), 4) for index in ordered}
    # Two names may be written alike, such as a_b and "a b".
    return Chosen(tuple(dict.fromkeys(words)), rating, found)


def split_tags(text: str) -> list[str]:
    """Tags in a text of commas and lines, without outer spaces and empty ones."""
    return [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]


def _ordered(
    taken: Iterable[int], probabilities: np.ndarray, table: TagTable, settings: TagSettings
) -> list[int]:
    ranks = {CHARACTER: 0, GENERAL: 1, OTHER: 1}
    groups = settings.characters == FIRST or settings.order == BY_CATEGORY

    def place(index: int) -> tuple[int, str, float, int]:
        group = ranks[table.categories[index]] if groups else 0
        name = _plain(table.names[index]) if settings.order == ALPHABETICAL else ""
        return group, name, -float(probabilities[index]), index

    return sorted(taken, key=place)


def _rating(probabilities: np.ndarray, table: TagTable) -> str:
    ratings = table.of(RATING)
    return table.names[ratings[probabilities[ratings].argmax()]] if len(ratings) else ""


def _plain(tag: str) -> str:
    """A tag as it is compared: long hair, Long_Hair and long_hair are one."""
    return tag.strip().lower().replace(" ", "_")


def _written(tag: str, settings: TagSettings) -> str:
    if settings.replace_underscores and tag not in KAOMOJI:
        tag = tag.replace("_", " ").strip() or tag
    if settings.escape_brackets:
        tag = tag.replace("(", "\\(").replace(")", "\\)")
    return tag
