"""Text encoding: captions literally, prompts as the stock node does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import comfy.sd
import torch

from ..core.attach import Attachment
from ..core.protocols import TextEmbedding
from .identity import clip_identity

# Cannot stand in a text: control characters are dropped from captions.
_NEVER = "\x00"


def escape(text: str) -> str:
    """What a person would type into a prompt box to get exactly this text.

    ComfyUI reads ``(…)`` as emphasis and ``\\(`` as a bracket, so brackets are escaped. A
    backslash before a bracket stays a backslash: only the bracket after it is unescaped.
    Tokenizers that know no emphasis (Z-Image's) unescape all the same.
    """
    return text.replace("(", "\\(").replace(")", "\\)")


class ComfyTextEncoder:
    """Fulfils ``core.protocols.TextEncoder`` for a CLIP.

    A caption is text and nothing else: no emphasis, no ``embedding:`` loads.
    """

    def __init__(self, clip: comfy.sd.CLIP) -> None:
        self._clip = clip
        self.identity = clip_identity(clip).digest

    def encode(self, text: str) -> TextEmbedding:
        """Equal to the stock encoder for the escaped text, chunk borders included."""
        plain = "".join(char for char in text if char >= " " or char in "\n\t")
        with torch.no_grad(), Attachment() as attachment:
            for tokenizer in _tokenizers(self._clip.tokenizer):
                attachment.set_attribute(tokenizer, "embedding_identifier", _NEVER)
            tokens = self._clip.tokenize(escape(plain))
            ((hidden, extra),) = self._clip.encode_from_tokens_scheduled(tokens)
        pooled = extra.get("pooled_output")
        extras = {
            name: _plain(value)
            for name, value in extra.items()
            if isinstance(value, torch.Tensor) and name != "pooled_output"
        }
        return TextEmbedding(_plain(hidden), None if pooled is None else _plain(pooled), extras)


def encode_prompt(clip: comfy.sd.CLIP, text: str) -> Any:
    """CONDITIONING of a prompt as the stock CLIPTextEncode makes it, emphasis and all."""
    with torch.no_grad():
        return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def _tokenizers(tokenizer: Any) -> Iterator[Any]:
    """The tokenizer and those inside it that look for embeddings."""
    for candidate in (tokenizer, *vars(tokenizer).values()):
        if hasattr(candidate, "embedding_identifier"):
            yield candidate


def _plain(value: torch.Tensor) -> torch.Tensor:
    """An ordinary fp32 tensor on the CPU, whatever the host computed in."""
    return value.detach().to(device="cpu", dtype=torch.float32, copy=True).clone()
