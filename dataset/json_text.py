"""JSON of people and programs, read so that nothing but what JSON can say comes out of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

_DEEPEST = 64


def parse_json(text: str) -> Any:
    """Parse one JSON value.

    Raises:
        ValueError: it is malformed, nested more than 64 deep, has a key twice, or has a text with
            half a character in it, which no file could hold.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_value(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} stands there twice")
    return made


def check_value(value: Any, depth: int = 0) -> None:
    """See that a parsed value is neither too deep nor has broken texts.

    Raises:
        ValueError: it is.
    """
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, inside in value.items():
            _check_text(key)
            check_value(inside, depth + 1)
    elif isinstance(value, list):
        for inside in value:
            check_value(inside, depth + 1)


def _check_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("a text has half a character in it (a lone surrogate)")
