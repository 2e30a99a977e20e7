"""Where a trigger stands in a caption, also misspelt, split, or with other letters' case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..tags import split_tags
from .edits import edit_distance

EXACT, CASE, SPLIT, NEAR = "exact", "case", "split", "near"
_WORD = re.compile(r"[^\s,.;:()\[\]{}|\"]+")
_GLUE = re.compile(r"[\s_\-]+")


@dataclass(frozen=True)
class Sighting:
    """A trigger in a caption, or what may have been meant as one.

    Attributes:
        kind: :data:`EXACT`; :data:`CASE`: other letters' case; :data:`SPLIT`: spaces, dashes or
            underscores put in or left out; :data:`NEAR`: one or two letters differ.
        start: its first character in the caption.
        end: the character behind its last one.
    """

    kind: str
    start: int
    end: int


def find_exact(caption: str, trigger: str) -> Sighting | None:
    """The trigger letter by letter, as words of its own."""
    match = re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", caption)
    return Sighting(EXACT, match.start(), match.end()) if match else None


def find_trigger(caption: str, trigger: str) -> Sighting | None:
    """The best sighting: exact before case before split before near; the first of equals."""
    for kind, flags in ((EXACT, 0), (CASE, re.IGNORECASE)):
        match = re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", caption, flags)
        if match:
            return Sighting(kind, match.start(), match.end())
    near = [
        (distance, start, end) for distance, start, end in _near(caption, _joined(trigger), trigger)
    ]
    if not near:
        return None
    distance, start, end = min(near, key=lambda row: (row[0], row[1]))
    return Sighting(NEAR if distance else SPLIT, start, end)


def at_front(caption: str, sighting: Sighting) -> bool:
    """Whether nothing but spaces stands before it."""
    return not caption[: sighting.start].strip()


def own_tag(caption: str, sighting: Sighting) -> bool:
    """Whether it is a tag of its own, and not part of a longer one or of a sentence."""
    return any((t.start, t.end) == (sighting.start, sighting.end) for t in split_tags(caption))


def misspellings_allowed(trigger: str) -> int:
    """How many letters may differ: in a short word, one letter makes another word."""
    length = len(_joined(trigger))
    return 0 if length < 4 else 1 if length < 8 else 2


def _near(caption: str, wanted: str, trigger: str) -> Iterator[tuple[int, int, int]]:
    """Distance, start and end of word groups that come close."""
    limit = misspellings_allowed(trigger)
    longest = len(_WORD.findall(trigger)) + 2
    words = list(_WORD.finditer(caption))
    for first in range(len(words)):
        for last in range(first, min(first + longest, len(words))):
            start, end = words[first].start(), words[last].end()
            joined = _joined(caption[start:end])
            if len(joined) > len(wanted) + limit:
                break
            distance = edit_distance(joined, wanted, limit, swaps=True)
            if distance <= limit:
                yield distance, start, end


def _joined(text: str) -> str:
    return _GLUE.sub("", text).casefold()
