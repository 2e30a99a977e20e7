"""Triggers that mean something already."""

from __future__ import annotations

from collections.abc import Iterator

from ...tags import words_of
from ..common_words import COMMON_WORDS
from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import Rule


def _check(context: LintContext) -> Iterator[Finding]:
    words = words_of(context.settings.trigger)
    if words and all(word in COMMON_WORDS for word in words):
        yield Finding(
            "trigger-common-word",
            WARNING,
            f"The trigger {context.settings.trigger.strip()!r} is made of common words: every "
            "model has a picture of it already, and yours will show wherever the word is used. "
            "Take one that means nothing, such as lazdraw.",
        )


RULE = Rule(
    name="trigger-common-word",
    doc="A trigger that every model knows, such as girl or art style. It fights what the word "
    "meant before, and shows up in prompts that never asked for it.",
    check=_check,
)
