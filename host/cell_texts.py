"""Prompts of a sweep: each encoded once, and those of one shape stacked for a batch."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import comfy.sd
import folder_paths
import torch
from comfy.sd1_clip import expand_directory_list

from .identity import remembered_file_hash
from .paths import is_plain
from .text import encode_prompt

KEPT_BYTES = 512 << 20
"""Texts above this are encoded again when their turn comes; a sweep may have thousands."""
_EMBEDDING = re.compile(r"embedding:\s*([^\s,:()<\[\]]+)")


class TextKey(NamedTuple):
    """A prompt, and the LoRA on the text encoders that read it; no name for none."""

    prompt: str
    lora: str = ""
    strength: float = 0.0


class PromptBook:
    """Conditioning by prompt.

    Args:
        clip_for: the CLIP with the LoRA of a text applied.
    """

    def __init__(self, clip_for: Callable[[TextKey], comfy.sd.CLIP]) -> None:
        self._clip_for = clip_for
        self._encoded: OrderedDict[TextKey, Any] = OrderedDict()
        self._shapes: dict[TextKey, Hashable] = {}

    def encode(self, key: TextKey) -> Any:
        """CONDITIONING as the stock text node makes it."""
        if key not in self._encoded:
            self._encoded[key] = encode_prompt(self._clip_for(key), key.prompt)
            while len(self._encoded) > 1 and self._kept_bytes() > KEPT_BYTES:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def shape(self, key: TextKey) -> Hashable:
        """Equal for texts that can be stacked into one batch."""
        if key not in self._shapes:
            self._shapes[key] = _shape_of(self.encode(key)) or key
        return self._shapes[key]

    def stacked(self, keys: Sequence[TextKey]) -> Any:
        """CONDITIONING of a batch, one text per cell; all of one shape."""
        if len(set(keys)) == 1:
            return self.encode(keys[0])
        each = [self.encode(key)[0] for key in keys]
        hidden = torch.cat([entry[0] for entry in each])
        extras = {
            name: torch.cat([entry[1][name] for entry in each])
            if isinstance(value, torch.Tensor)
            else value
            for name, value in each[0][1].items()
        }
        return [[hidden, extras]]

    def _kept_bytes(self) -> int:
        return sum(
            tensor.nbytes for conds in self._encoded.values() for tensor in _tensors(conds)
        )


def embedding_files(prompt: str) -> dict[str, str]:
    """Content hashes of textual inversion files that a prompt names; empty text for a missing one.

    They decide the picture as the prompt's own words do.
    """
    return {name: _embedding_hash(name) for name in sorted(set(_EMBEDDING.findall(prompt)))}


def _embedding_hash(name: str) -> str:
    if not is_plain(name):
        return ""
    folders = expand_directory_list(folder_paths.get_folder_paths("embeddings"))
    for folder in folders:
        for suffix in ("", ".safetensors", ".pt", ".bin"):
            path = Path(folder) / f"{name}{suffix}"
            if path.is_file():
                return remembered_file_hash(path)
    return ""


def _tensors(conds: Any) -> list[torch.Tensor]:
    return [
        value
        for hidden, extras in conds
        for value in (hidden, *extras.values())
        if isinstance(value, torch.Tensor)
    ]


def _shape_of(conds: Any) -> Hashable:
    """None for what cannot be stacked: schedules, hooks, anything that is no plain tensor."""
    if len(conds) != 1:
        return None
    hidden, extras = conds[0]
    found: list[Hashable] = [(tuple(hidden.shape), hidden.dtype)]
    for name, value in sorted(extras.items()):
        if isinstance(value, torch.Tensor) and value.ndim > 0 and value.shape[0] == 1:
            found.append((name, tuple(value.shape), value.dtype))
        elif value is None or isinstance(value, (bool, int, float, str)):
            found.append((name, value))
        else:
            return None
    return tuple(found)
