"""What means something in a prompt box and is only text in a caption."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...items import DatasetItem
from ...tags import KEEP_SEPARATOR, split_tags, without_escapes
from ..caption_fix import caption_fix, where
from ..context import LintContext
from ..finding import WARNING, Finding, Fix
from ..rule import Rule

# A word with a decimal, or with 0 to 2: (16:9), (2.35:1) and (John 3:16) mean what they say.
_WEIGHTED = re.compile(
    r"(?<!\\)\((?=[^:]{0,200}?[^\W\d])((?:[^()\\]|\\[()\\])*?)"
    r":(?:\s*\d*\.\d+|(?<!\d:)\s*[0-2])\s*\)"
)
_DEEPEST = 8
_LORA = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_PATTERNS = {
    "emphasis": _WEIGHTED,
    "emphasis by brackets": re.compile(r"(?<!\\)\(\([^()]*\)\)|\[\[[^\[\]]*\]\]"),
    "an escaped bracket": re.compile(r"\\[()\[\]]"),
    "an embedding": re.compile(r"\bembedding:\S+", re.IGNORECASE),
    "a LoRA": _LORA,
    "a choice": re.compile(r"\{[^{}]*\|[^{}]*\}"),
    "kohya's mark": re.compile(r"\|\|\||;;;"),
}


def _check(context: LintContext) -> Iterator[Finding]:
    for item in context.dataset.items:
        found = _found(item.caption or "")
        if found:
            named = ", ".join(f"{kind} {text!r}" for kind, text in found.items())
            yield Finding(
                "prompt-syntax",
                WARNING,
                f"The caption of {item.name} has {named}. Captions are trained letter by letter: "
                f"this would be learned as text.{where(item)}",
                items=(item.name,),
                fix=_fix(item),
                data={"found": found},
            )


def _found(caption: str) -> dict[str, str]:
    """The first of each kind."""
    matches = {kind: pattern.search(caption) for kind, pattern in _PATTERNS.items()}
    return {kind: match.group() for kind, match in matches.items() if match}


def plain(caption: str) -> str:
    """The caption as the prompt would have been read, as far as that is certain.

    Weights, escapes, LoRA names and kohya's marks go. Choices and embeddings stay: what they
    stood for, only a person knows.
    """
    text = caption
    for _ in range(_DEEPEST):
        # From the inside out: ((a:1.2), b:1.1).
        text = _WEIGHTED.sub(r"\1", text)
    text = _LORA.sub("", text)
    if text != caption or KEEP_SEPARATOR in text or ";;;" in text:
        # Line by line: lines may be meant as alternatives.
        lines = text.replace(";;;", ",").splitlines()
        text = "\n".join(", ".join(tag.text for tag in split_tags(line)) for line in lines)
    return without_escapes(text)


def _fix(item: DatasetItem) -> Fix | None:
    return caption_fix(item, plain(item.caption or ""), "take out prompt syntax")


RULE = Rule(
    name="prompt-syntax",
    doc="Emphasis such as (word:1.2), \\(, embedding:, <lora:…>, {a|b} or ||| in a caption. A "
    "prompt box reads these; in a caption they are letters, and cost tokens.",
    check=_check,
    fixes="takes out weights, escapes, LoRA names and kohya's marks; the words stay",
)
