"""What a person would call a colour, and whether captions name it."""

from __future__ import annotations

import colorsys
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ..colour import Rgb

_HUES = (
    (15, "red"), (40, "orange"), (68, "yellow"), (165, "green"), (195, "cyan"), (255, "blue"),
    (290, "purple"), (335, "pink"), (361, "red"),
)  # fmt: skip
_SAME = {
    "grey": {"grey", "gray"}, "white": {"white", "blank", "paper"}, "purple": {"purple", "violet"},
    "pink": {"pink", "magenta"}, "brown": {"brown", "sepia"}, "orange": {"orange", "brown"},
    "cyan": {"cyan", "turquoise", "teal"}, "beige": {"beige", "cream", "paper"},
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = {"the", "and", "with", "for", "from", "that", "this", "has", "are", "her", "his", "its"}


def colour_word(colour: Rgb) -> str:
    """An everyday word for a colour."""
    hue, light, colourful = colorsys.rgb_to_hls(*(value / 255 for value in colour))
    chroma = (max(colour) - min(colour)) / 255
    if chroma < 0.12 or colourful < 0.1:
        return "white" if light > 0.85 else "black" if light < 0.15 else "grey"
    name = next(word for most, word in _HUES if hue * 360 < most)
    if name in ("orange", "yellow") and light > 0.75 and chroma < 0.4:
        return "beige"
    return "brown" if name == "orange" and light < 0.35 else name


def words_for(colour: Rgb) -> set[str]:
    """The words by which a caption may name a colour."""
    word = colour_word(colour)
    return _SAME.get(word, {word}) | {word}


def words_of(caption: str | None) -> set[str]:
    """Words of three letters and more, in lower case."""
    return set(_WORD.findall((caption or "").replace("_", " ").casefold())) - _COMMON


def share_naming(captions: Sequence[str | None], words: set[str]) -> float:
    """The part of captions, 0..1, that has one of these words."""
    return sum(bool(words_of(text) & words) for text in captions) / max(1, len(captions))


def shared_words(
    captions: Sequence[str | None], *, least: float = 0.9, without: Iterable[str] = ()
) -> list[str]:
    """Words that nearly all captions have, the longest first; at most eight."""
    counts = Counter(word for text in captions for word in words_of(text))
    left_out = set(without)
    common = [w for w, n in counts.items() if n >= least * len(captions) and w not in left_out]
    return sorted(common, key=lambda word: (-len(word), word))[:8]
