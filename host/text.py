"""Text encoding: captions literally, prompts as the stock node does it, chunks as one chooses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import comfy.sd
import torch

from ..core.attach import Attachment
from ..core.protocols import TextEmbedding
from ..core.settings import digest
from ..dataset.token_layout import STOCK, WHOLE_TAGS
from .identity import clip_identity

# Cannot stand in a text: control characters are dropped from captions.
_NEVER = "\x00"
LONGEST_CHUNK = 1000
"""Tokenizers without chunks have a maximal length far above it."""
_ALIGNED_VERSION = 1
"""Raised when the same caption would be cut otherwise than before."""
_BRACKETS_AND_COMMAS = re.compile(r"\\[()]|[(),\n]")


def escape(text: str) -> str:
    """What a person would type into a prompt box to get exactly this text.

    ComfyUI reads ``(…)`` as emphasis and ``\\(`` as a bracket, so brackets are escaped. A
    backslash before a bracket stays a backslash: only the bracket after it is unescaped.
    Tokenizers that know no emphasis (Z-Image's) unescape all the same.
    """
    return text.replace("(", "\\(").replace(")", "\\)")


def plain_text(text: str) -> tuple[str, list[int]]:
    """A caption without control characters, and the place of each character that stayed."""
    kept = [index for index, char in enumerate(text) if char >= " " or char in "\n\t"]
    return "".join(text[index] for index in kept), kept


class ComfyTextEncoder:
    """Fulfils ``core.protocols.TextEncoder`` for a CLIP.

    A caption is text and nothing else: no emphasis, no ``embedding:`` loads.

    Args:
        clip: the text encoders.
        chunks: :data:`STOCK` or :data:`WHOLE_TAGS`.
    """

    def __init__(self, clip: comfy.sd.CLIP, chunks: str = STOCK) -> None:
        self._clip = clip
        # Where there are no chunks, both ways are the same and share what was computed.
        self._whole_tags = chunks == WHOLE_TAGS and has_chunks(clip)
        identity = clip_identity(clip).digest
        self.identity = (
            digest([identity, WHOLE_TAGS, _ALIGNED_VERSION]) if self._whole_tags else identity
        )

    def encode(self, text: str) -> TextEmbedding:
        """Equal to the stock encoder for the escaped text, chunk borders included; with whole
        tags, to ``KilnEncodePrompt`` for it.
        """
        with torch.no_grad():
            ((hidden, extra),) = encode_literally(self._clip, text, self._whole_tags)
        pooled = extra.get("pooled_output")
        extras = {
            name: _plain(value)
            for name, value in extra.items()
            if isinstance(value, torch.Tensor) and name != "pooled_output"
        }
        return TextEmbedding(_plain(hidden), None if pooled is None else _plain(pooled), extras)


def encode_literally(clip: comfy.sd.CLIP, text: str, whole_tags: bool) -> Any:
    """CONDITIONING of a text that means nothing but itself."""
    tokenize = tokenize_whole_tags if whole_tags else _stock_tokens
    with Attachment() as attachment:
        literal_reading(attachment, clip.tokenizer)
        tokens = tokenize(clip, escape(plain_text(text)[0]))
        return clip.encode_from_tokens_scheduled(tokens)


def encode_prompt(clip: comfy.sd.CLIP, text: str, chunks: str = STOCK) -> Any:
    """CONDITIONING of a prompt as the stock CLIPTextEncode makes it, emphasis and all.

    Args:
        clip: the text encoders.
        text: the prompt.
        chunks: :data:`STOCK`, or :data:`WHOLE_TAGS` to cut it only between tags.
    """
    tokenize = tokenize_whole_tags if chunks == WHOLE_TAGS else _stock_tokens
    with torch.no_grad():
        return clip.encode_from_tokens_scheduled(tokenize(clip, text))


def _stock_tokens(clip: comfy.sd.CLIP, prompt: str) -> dict[str, Any]:
    return clip.tokenize(prompt)


def tokenize_whole_tags(clip: comfy.sd.CLIP, prompt: str) -> dict[str, Any]:
    """Tokens in chunks that end between tags: each chunk is filled tag by tag.

    What fits into one chunk is exactly what the stock tokenizer makes of it. A tag that is longer
    than a chunk begins one of its own, and is cut as stock cuts it. An emphasised group
    ``(a, b:1.2)`` counts as one tag.
    """
    whole = clip.tokenize(prompt)
    if not has_chunks(clip) or all(len(chunks) == 1 for chunks in whole.values()):
        return whole
    tokens: dict[str, list[Any]] = {name: [] for name in whole}
    for part in fill(tag_pieces(prompt), lambda text: _fits(clip, text)):
        for name, chunks in clip.tokenize(part).items():
            tokens[name] += chunks
    return tokens


def tag_pieces(prompt: str) -> list[str]:
    """A prompt in pieces that end behind a comma or line break, which together are the prompt.

    Brackets that are not escaped hold together what is in them, as ComfyUI nests them.
    """
    pieces, begin, depth = [], 0, 0
    for match in _BRACKETS_AND_COMMAS.finditer(prompt):
        found = match.group()
        depth += (found == "(") - (found == ")")
        if found in ",\n" and depth == 0:
            pieces.append(prompt[begin : match.end()])
            begin = match.end()
    return [piece for piece in (*pieces, prompt[begin:]) if piece]


def fill(pieces: list[str], fits: Callable[[str], bool]) -> Iterator[str]:
    """Join pieces as long as they fit; one that never does stands alone."""
    current = ""
    for piece in pieces:
        if current and not fits((current + piece).strip()):
            yield current.strip()
            current = ""
        current += piece
    if current.strip():
        yield current.strip()


def _fits(clip: comfy.sd.CLIP, text: str) -> bool:
    return all(len(chunks) == 1 for chunks in clip.tokenize(text).values())


def has_chunks(clip: comfy.sd.CLIP) -> bool:
    """Whether all of the text encoders read chunks of a fixed length: those of SD 1.5 and SDXL."""
    parts = [part for part in token_parts(clip.tokenizer) if hasattr(part, "max_length")]
    return bool(parts) and all(
        part.max_length <= LONGEST_CHUNK and part.pad_to_max_length for part in parts
    )


def literal_reading(attachment: Attachment, tokenizer: Any) -> None:
    """Let a tokenizer see no ``embedding:`` in a text, as long as the attachment lasts."""
    for part in token_parts(tokenizer):
        attachment.set_attribute(part, "embedding_identifier", _NEVER)


def token_parts(tokenizer: Any) -> Iterator[Any]:
    """The tokenizer and those inside it that look for embeddings."""
    for candidate in (tokenizer, *vars(tokenizer).values()):
        if hasattr(candidate, "embedding_identifier"):
            yield candidate


def _plain(value: torch.Tensor) -> torch.Tensor:
    """An ordinary fp32 tensor on the CPU, whatever the host computed in."""
    return value.detach().to(device="cpu", dtype=torch.float32, copy=True).clone()
