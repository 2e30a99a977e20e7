"""What can be done to a variable in a caption template: ``{caption|tags:12|lower}``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.errors import ConfigError
from .describe.answers import first_sentence

Filter = Callable[[str], str]
USAGE = "tags:12, words:20, first_sentence, lower and default:text"


def parse_filters(calls: Sequence[str]) -> tuple[Filter, ...] | None:
    """The filters of a variable, in order; None where one of the names is no filter.

    Raises:
        ConfigError: a filter's number is missing or wrong.
    """
    filters = [_filter(call) for call in calls]
    known = tuple(one for one in filters if one is not None)
    return known if len(known) == len(filters) else None


def _filter(call: str) -> Filter | None:
    name, colon, argument = call.partition(":")
    name = name.strip()
    if name in _PLAIN and not colon:
        return _PLAIN[name]
    if name in _COUNTED and colon:
        return _counted(name, argument.strip())
    if name == "default" and colon:
        return lambda text: text or argument.strip()
    return None


def _counted(name: str, argument: str) -> Filter:
    if not (argument.isascii() and argument.isdigit() and int(argument[:9]) > 0):
        raise ConfigError(
            f"The caption template has the filter {name}:{argument}",
            expected="a number of 1 or more",
            remedy=f"Write {name}:12 for the first twelve",
        )
    return lambda text: _COUNTED[name](text, int(argument[:9]))


def _first_tags(text: str, count: int) -> str:
    """The first tags of a list with commas."""
    return ", ".join([tag.strip() for tag in text.split(",") if tag.strip()][:count])


def _first_words(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


_PLAIN: dict[str, Filter] = {"first_sentence": first_sentence, "lower": str.lower}
_COUNTED: dict[str, Callable[[str, int], str]] = {"tags": _first_tags, "words": _first_words}
