"""Captions as people write them: with a made-up trigger word, or without naming colours.

A model that has only seen complete captions loses its way at the first unknown word, and that
word is what a LoRA's prompts begin with.
"""

from __future__ import annotations

from random import Random

from .draw import COLORS

TRIGGER_SHARE = COLORLESS_SHARE = 0.25
SYLLABLES = (
    "ba", "dor", "fel", "gim", "hux", "jov", "lam", "mip", "nur", "pex",
    "qua", "rov", "sib", "tan", "vok", "wes", "yil", "zor",
)


def vary(caption: str, random: Random) -> str:
    """The caption, sometimes without its colours, sometimes after a made-up word."""
    if random.random() < COLORLESS_SHARE:
        caption = without_colors(caption)
    if random.random() < TRIGGER_SHARE:
        word = "".join(random.choices(SYLLABLES, k=random.randint(2, 3)))
        caption = f"{word}, {caption}"
    return caption


def without_colors(caption: str) -> str:
    """Leave out the names of colours, and mend the article before them."""
    kept = [word for word in caption.split() if word not in COLORS]
    for index, word in enumerate(kept[:-1]):
        if word in ("a", "an"):
            kept[index] = "an" if kept[index + 1][0] in "aeiou" else "a"
    return " ".join(kept)
