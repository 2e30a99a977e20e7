"""How a CLIP cuts a literal text into tokens and chunks, with the characters of every token.

The tokens are those of ``clip.tokenize``, which training and the stock node call: its inner
tokenizer is listened to, so whatever a model puts around the text (Z-Image's chat), and wherever
ComfyUI ends a chunk, is what is reported. Places in the text come from the tokenizer itself;
older ones written in Python do not know them, and then the tokens' letters are matched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import comfy.sd
import comfy.sdxl_clip

from ..core.attach import Attachment
from ..core.errors import HostError
from ..dataset.token_layout import Token, TokenLayout
from .text import LONGEST_CHUNK, escape, literal_reading, plain_text, token_parts
from .token_places import Place, places

_MARK = "\ue000"
"""A letter of no script: shows where the text stands in what a tokenizer is given."""


def token_counter(clip: comfy.sd.CLIP) -> ComfyTokenCounter:
    """The counter of a connected CLIP.

    Raises:
        HostError: its tokenizer is of a kind that we do not know.
    """
    return ComfyTokenCounter(clip.tokenizer, clip.tokenize)


def counter_of(clip: comfy.sd.CLIP | None) -> ComfyTokenCounter | None:
    """The counter of a CLIP; None where none is connected."""
    return None if clip is None else token_counter(clip)


@cache
def bundled_counter() -> ComfyTokenCounter:
    """The counter of SDXL's tokenizer, which lies in ComfyUI itself; no model is needed."""
    tokenizer = comfy.sdxl_clip.SDXLTokenizer()
    return ComfyTokenCounter(tokenizer, tokenizer.tokenize_with_weights)


class ComfyTokenCounter:
    """Fulfils ``dataset.token_layout.TokenCounter``.

    Args:
        tokenizer: of a CLIP.
        tokenize: text to tokens with weights and word numbers, by the name of the part.
    """

    def __init__(self, tokenizer: Any, tokenize: Callable[..., Any]) -> None:
        self._tokenizer, self._tokenize = tokenizer, tokenize
        parts = [part for part in token_parts(tokenizer) if hasattr(part, "tokenizer")]
        if not parts:
            raise HostError(
                f"The tokenizer of this CLIP is a {type(tokenizer).__name__}",
                expected="one that is made of ComfyUI's SDTokenizer",
                remedy="Leave clip unconnected; tokens are then not counted",
            )
        # Flux reads the words by T5 and gives CLIP the rest; where there is one without chunks,
        # it is what reads the caption.
        self._part = next((part for part in parts if capacity_of(part) is None), parts[0])
        self.capacity = capacity_of(self._part)
        """Tokens per chunk, or None."""
        self._before, self._after = self._around()

    def layout(self, text: str) -> TokenLayout:
        """The tokens of a literal text, chunk by chunk; see ``TokenCounter``."""
        plain, origins = plain_text(text)
        heard, chunks = self._listen(plain)
        tokens = [token for words in heard for token in self._tokens(words, plain, origins)]
        if sum(chunks) != sum(len(words.ids) for words in heard):
            raise HostError(
                "The tokenizer's chunks do not hold what it was given",
                expected="every token in one of them",
                remedy="Leave clip unconnected, and tell us which text encoder it is",
            )
        return TokenLayout(tuple(_dealt(tokens, chunks)), self.capacity)

    def _listen(self, plain: str) -> tuple[list[_Heard], list[int]]:
        """What the inner tokenizer was given, and how many of its tokens each chunk holds."""
        ear = _Ear(self._part)
        with Attachment() as attachment:
            literal_reading(attachment, self._tokenizer)
            attachment.set_attribute(self._part, "tokenizer", ear)
            found = self._tokenize(escape(plain), return_word_ids=True)
        ours = [
            chunks for chunks in found.values()
            if _ids(chunks) == [token for words in ear.heard for token in words.ids]
        ]
        if not ours:
            return ear.heard, []
        return ear.heard, [sum(word > 0 for _, _, word in chunk) for chunk in ours[0]]

    def _around(self) -> tuple[str, str]:
        """What the model puts before and after a caption."""
        heard, _ = self._listen(_MARK)
        whole = "".join(words.text for words in heard)
        before, mark, after = whole.partition(_MARK)
        return (before, after) if mark else ("", "")

    def _tokens(self, words: _Heard, plain: str, origins: list[int]) -> list[Token | None]:
        """Tokens of the caption; None stands for those around it."""
        start, end = len(self._before), len(words.text) - len(self._after)
        if words.text[start:end] != plain:
            start, end = 0, len(words.text)
        found: list[Token | None] = []
        for place in places(self._part.tokenizer, words.text, words.ids, words.skipped):
            inside = max(place.start, start) < min(place.end, end)
            found.append(_token(place, start, end, origins) if inside else None)
        return found


@dataclass
class _Heard:
    """One call of the inner tokenizer: its text, and the tokens that ComfyUI takes of it."""

    text: str
    ids: list[int]
    skipped: int


@dataclass
class _Ear:
    """Stands in for an inner tokenizer, and remembers what it is asked."""

    part: Any
    heard: list[_Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inner = self.part.tokenizer

    def __call__(self, text: str, **options: Any) -> Any:
        answer = self.inner(text, **options)
        ids = list(answer["input_ids"])
        start = self.part.tokens_start
        # As SDTokenizer takes them: without the start token, and without the end token.
        end = len(ids) - 1 if self.part.tokenizer_adds_end_token else len(ids)
        self.heard.append(_Heard(text, ids[start:end], start))
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def capacity_of(part: Any) -> int | None:
    """Tokens that fit into a chunk of an ``SDTokenizer``; None where it has no chunks."""
    if part.max_length > LONGEST_CHUNK:
        return None
    return int(part.max_length) - int(part.start_token is not None) - int(
        part.end_token is not None
    )


def _ids(chunks: Any) -> list[Any]:
    return [token for chunk in chunks for token, _, word in chunk if word > 0]


def _token(place: Place, start: int, end: int, origins: list[int]) -> Token:
    """In characters of the caption as it was before control characters were dropped."""
    first, last = max(place.start, start) - start, min(place.end, end) - start
    return Token(place.text, origins[first], origins[last - 1] + 1)


def _dealt(tokens: list[Token | None], chunks: list[int]) -> list[tuple[Token, ...]]:
    dealt, begin = [], 0
    for size in chunks:
        part = tokens[begin : begin + size]
        dealt.append(tuple(token for token in part if token is not None))
        begin += size
    return dealt
