"""How a text encoder cuts a caption into tokens and chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

STOCK, WHOLE_TAGS = "stock", "whole tags"
CHUNKS = (STOCK, WHOLE_TAGS)
"""Where a long text is cut into chunks: after 75 tokens, as the stock nodes do it; or only between
tags."""


@dataclass(frozen=True)
class Token:
    """A token of a caption.

    Attributes:
        text: what the tokenizer made of it, for people.
        start: first character of the caption that it covers.
        end: the character behind the last one.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class TokenLayout:
    """A caption as the text encoder reads it.

    Attributes:
        chunks: the tokens of each chunk, without start, end and padding.
        capacity: tokens that fit into a chunk (75 for CLIP); None where there are no chunks.
    """

    chunks: tuple[tuple[Token, ...], ...]
    capacity: int | None

    @property
    def count(self) -> int:
        """How many tokens there are in all."""
        return sum(len(chunk) for chunk in self.chunks)


class TokenCounter(Protocol):
    """The tokenizer of a model, as far as captions are concerned."""

    def layout(self, text: str) -> TokenLayout:
        """The tokens of a literal text."""
