"""Phrases that many captions have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from ..tags import same_tag, split_tags, words_of

LONGEST_WORDS = 6
Words = tuple[str, ...]
T = TypeVar("T")


def common_phrases(
    captions: Sequence[str], share: float, *, without: str = ""
) -> list[tuple[str, int]]:
    """Phrases of up to six words, within a tag or sentence, that stand in so many captions.

    Only the longest are named: not ``long hair`` where ``very long hair`` is as common. Words
    that are common on their own count if they are a whole tag.

    Args:
        captions: at least one.
        share: of the captions, in 0..1.
        without: the trigger, which belongs into all of them.

    Returns:
        The phrases with the number of captions, the most common first.
    """
    need = share * len(captions)
    left_out = set(words_of(without))
    texts = [_parts(caption) for caption in captions]
    # A phrase can be no more common than its rarest word (Apriori): the rest is never counted.
    words = _counted({(word,) for part in parts for word in part} for parts in texts)
    usual = {word for (word,), count in words.items() if count >= need} - left_out
    counts = _counted(_phrases(parts, usual) for parts in texts)
    found = {phrase: count for phrase, count in counts.items() if count >= need}
    longest = [p for p in found if not any(_inside(p, other) for other in found if other != p)]
    return [(" ".join(p), found[p]) for p in sorted(longest, key=lambda p: (-found[p], p))]


def tag_counts(captions: Iterable[str]) -> Counter[str]:
    """In how many captions each tag is, spellings of it taken together."""
    return _counted({same_tag(tag.text) for tag in split_tags(c)} for c in captions)


def _parts(caption: str) -> list[Words]:
    return [tuple(words_of(same_tag(tag.text))) for tag in split_tags(caption)]


def _phrases(parts: list[Words], usual: set[str]) -> set[Words]:
    found: set[Words] = set()
    for part in parts:
        if len(part) == 1 and part[0] in usual:
            found.add(part)
        for start in range(len(part)):
            for end in range(start + 1, min(start + LONGEST_WORDS, len(part)) + 1):
                if part[end - 1] not in usual:
                    break
                if end - start > 1:
                    found.add(part[start:end])
    return found


def _counted(sets: Iterable[Iterable[T]]) -> Counter[T]:
    counts: Counter[T] = Counter()
    for found in sets:
        counts.update(found)
    return counts


def _inside(phrase: Words, other: Words) -> bool:
    size = len(phrase)
    return any(other[i : i + size] == phrase for i in range(len(other) - size + 1))
