"""From what a model says to what is written: openings off, one of the allowed answers out."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PICTURE = r"(?:image|picture|photo|photograph|scene)\b"
_VERB = (
    r"(?:shows|depicts|features|displays|portrays|captures|presents|contains|showcases|"
    r"illustrates|is of)"
)
_OPENINGS = (
    r"(?:sure|certainly|of course|absolutely)\s*[!,.:]\s*",
    r"here(?:'s| is| are)\s[^:.\n]{0,60}:\s*",
    r"(?:caption|description|answer|assistant)\s*:\s*",
    rf"(?:the|this)\s+{_PICTURE}\s+{_VERB}\s+",
    rf"in\s+(?:the|this)\s+{_PICTURE}\s*,?\s*(?:there\s+(?:is|are)\s+|(?:we|you|i)\s+(?:can\s+)?"
    r"see\s+)?",
)
_OPENING = re.compile(rf"(?:{'|'.join(_OPENINGS)})", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "'": "'"}
_END_OF_SENTENCE = re.compile(r"[.!?…。！？](?=[\"”')\]]*(?:\s|$))[\"”')\]]*")


def clean(text: str, *, finished: bool = True, trim_openings: bool = True) -> str:
    """One line of text without thoughts, openings and outer quotes.

    Args:
        text: what the model wrote.
        finished: whether it ended by itself; else it is shortened to its last whole sentence.
        trim_openings: take off ``The image shows`` and its like.
    """
    line = " ".join(_THOUGHT.sub(" ", text).split())
    if not finished:
        line = _whole_sentences(line)
    line = _unquoted(line)
    return _unquoted(without_opening(line)) if trim_openings else line


def without_opening(text: str) -> str:
    """The text without what says that it is about a picture; never nothing."""
    while (match := _OPENING.match(text)) and match.end() < len(text):
        text = text[match.end() :]
    return text


def _whole_sentences(text: str) -> str:
    ends = list(_END_OF_SENTENCE.finditer(text))
    return text[: ends[-1].end()] if ends else text


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    quoted = len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and text[0] not in inner
    return inner.strip() if quoted else text


def first_sentence(text: str) -> str:
    """Up to the first end of a sentence; the whole text where there is none."""
    match = _END_OF_SENTENCE.search(text)
    return text[: match.end()] if match else text


def allowed_answers(text: str) -> list[str]:
    """The list that a person wrote, without doubles."""
    parts = [part.strip() for part in re.split(r"[,|\n]", text)]
    return list(dict.fromkeys(part for part in parts if part))


def the_answer(text: str, allowed: Sequence[str]) -> str | None:
    """The one allowed answer that a text names as whole words; None for none or several."""
    plain = text.casefold().strip(" \t\n.!?\"'")
    for answer in allowed:
        if plain == answer.casefold():
            return answer
    # Longest first, and taken out: "old woman" is not also "woman".
    named, rest = [], text.casefold()
    for answer in sorted(allowed, key=len, reverse=True):
        rest, count = re.subn(rf"(?<!\w){re.escape(answer.casefold())}(?!\w)", " ", rest)
        named += [answer] * bool(count)
    return named[0] if len(named) == 1 else None
