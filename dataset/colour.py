"""Colours that a person names: what lies behind transparent parts of a picture."""

from __future__ import annotations

import re

from ..core.errors import ConfigError

Rgb = tuple[int, int, int]

NAMED: dict[str, Rgb] = {
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "black": (0, 0, 0),
}
_SPELLINGS = {"gray": "grey"}
_HEX = re.compile(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})")


def parse_colour(text: str) -> Rgb:
    """Return the colour, 0..255 per channel, of a name or of ``#rrggbb``.

    Raises:
        ConfigError: it is neither.
    """
    word = text.strip().lower()
    word = _SPELLINGS.get(word, word)
    if word in NAMED:
        return NAMED[word]
    match = _HEX.fullmatch(word)
    if match is None:
        raise ConfigError(
            f"The background colour is {text!r}",
            expected=f"{', '.join(NAMED)}, or a colour such as #f4efe6",
            remedy="Choose one of the words, or write # and six hexadecimal digits",
        )
    red, green, blue = (int(part, 16) for part in match.groups())
    return red, green, blue


def hex_colour(text: str) -> str:
    """The same colour always as ``#rrggbb``, so that 'white' and '#FFFFFF' share a cache entry."""
    return "#{:02x}{:02x}{:02x}".format(*parse_colour(text))
