"""What people write where a value is a name from a list: names, patterns and ``all``.

Names are parted by commas, semicolons or lines. Capital letters and the kind of slash do not
matter, ``*`` stands for any letters and ``?`` for one.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ..core.errors import ConfigError, shorten
from .axis_values import MOST_VALUES

EVERY = "all"
LONGEST_SHOWN = 60
_DIGITS = re.compile(r"([0-9]+)")
T = TypeVar("T")


def parse_names(text: str, known: Sequence[str], what: str) -> list[str]:
    """Names of a list, in the person's order, each once.

    Args:
        text: what a person wrote.
        known: the names that there are, in the order in which patterns find them.
        what: the axis, as errors name it.

    Raises:
        ConfigError: a name that is not known, with those that look like it; or too many or none.
    """
    parts = filter(None, (piece.strip() for piece in re.split(r"[,;\n]", text)))
    found = [name for part in parts for name in _matching(part, known, what)]
    return counted(found, what, example="some names of the list, or all")


def counted(values: Iterable[T], what: str, *, example: str) -> list[T]:
    """The values, each once.

    Raises:
        ConfigError: there are none or too many.
    """
    found = list(dict.fromkeys(values))
    if not 1 <= len(found) <= MOST_VALUES:
        raise ConfigError(
            f"{what} has {len(found)} values",
            expected=f"1 to {MOST_VALUES}",
            remedy=f"Write {example}",
        )
    return found


def folded(name: str) -> str:
    """What counts in a comparison of names."""
    return name.replace("\\", "/").casefold()


def is_pattern(text: str) -> bool:
    """Whether a name stands for several."""
    return "*" in text or "?" in text


def matches(name: str, pattern: str) -> bool:
    """Whether a name is of a pattern; brackets are letters like others, LoRAs have them."""
    return fnmatch.fnmatchcase(folded(name), folded(pattern).replace("[", "[[]"))


def natural_key(name: str) -> list[tuple[int, Any]]:
    """For sorting as people count: ``step_9`` before ``step_10``."""
    pieces = _DIGITS.split(folded(name))
    return [(0, int(piece)) if index % 2 else (1, piece) for index, piece in enumerate(pieces)]


def unknown_name(part: str, known: Sequence[str], what: str) -> ConfigError:
    """The error for a name that is not there, with those that look like it."""
    shown = part if len(part) <= LONGEST_SHOWN else f"{part[:LONGEST_SHOWN]}…"
    by_fold = {folded(name): name for name in known}
    close = difflib.get_close_matches(folded(part[:LONGEST_SHOWN]), list(by_fold), n=3, cutoff=0.4)
    names = [by_fold[name] for name in close] or list(known)
    return ConfigError(
        f"{what} has {shown!r}",
        expected=f"a name or pattern of the list, such as {shorten(names)}"
        if names else "a name of the list, which is empty",
        remedy="Correct it, or press R to refresh the list",
    )


def _matching(part: str, known: Sequence[str], what: str) -> list[str]:
    if folded(part) == EVERY:
        return list(known)
    own = [part] if part in known else [n for n in known if folded(n) == folded(part)]
    if not own and is_pattern(part):
        own = [name for name in known if matches(name, part)]
    if not own:
        raise unknown_name(part, known, what)
    return own
