"""What people write where a value is text: prompts line by line, or a list with quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..core.errors import ConfigError
from .name_values import counted

EMPTY = '""'
"""How an empty prompt is written."""
LONGEST_SHOWN = 40
_RULE = re.compile(r"-{3,}")
_ITEM = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^",\s][^,\n]*)?)[^\S\n]*(?:[,\n]|$)'
)


def parse_prompts(text: str, what: str) -> list[str]:
    """Prompts, one a line; or, where a line is ``---``, all that stands between such lines.

    A line that is ``""`` is an empty prompt. Outer spaces and empty lines do not count.

    Raises:
        ConfigError: there are none, or too many.
    """
    lines = text.splitlines()
    if any(_RULE.fullmatch(line.strip()) for line in lines):
        prompts = _sections(lines)
    else:
        prompts = [line.strip() for line in lines]
    found = ["" if prompt == EMPTY else prompt for prompt in prompts if prompt]
    return counted(found, what, example=f'one on each line; {EMPTY} is an empty one')


def parse_quoted(text: str, what: str) -> list[str]:
    """Items parted by commas or lines; one with commas in it stands in double quotes.

    In quotes every letter counts, and two quotes mean one. ``""`` is the empty text.

    Raises:
        ConfigError: a quote that is not closed, or that more follows.
    """
    found: list[str] = []
    place = 0
    while place < len(text):
        match = _ITEM.match(text, place)
        if match is None:
            raise ConfigError(
                f"{what} has {text[place:].strip()[:LONGEST_SHOWN]!r}",
                expected="words parted by commas; those with commas in double quotes, as in "
                '"red, round", with a comma behind',
                remedy="Close the quote, or write two quotes for one that is part of the text",
            )
        if match["quoted"] is not None:
            found.append(match["quoted"].replace('""', '"'))
        elif match["plain"]:
            found.append(match["plain"].strip())
        place = match.end()
    return list(dict.fromkeys(found))


def shown_prompt(prompt: str) -> str:
    """A prompt as a label; the grid shortens it."""
    return prompt or "(empty)"


def _sections(lines: list[str]) -> list[str]:
    return ["\n".join(own).strip() for own in _between_rules(lines)]


def _between_rules(lines: list[str]) -> Iterator[list[str]]:
    own: list[str] = []
    for line in lines:
        if _RULE.fullmatch(line.strip()):
            yield own
            own = []
        else:
            own.append(line)
    yield own
