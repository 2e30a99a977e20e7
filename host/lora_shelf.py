"""The LoRA files of a sweep: what is known of each, and the few that are in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import LoraFormatError
from .identity import remembered_file_hash
from .lora_factors import LoadedLora, load_lora

KEPT_BYTES = 2 << 30
"""Files above this are read again when their turn comes; a run may have dozens of checkpoints."""


@dataclass(frozen=True)
class LoraFacts:
    """What is known of a LoRA without its tensors.

    Attributes:
        name: as the stock loader lists it.
        sha256: of the file.
        matched: keys that the stock loader uses.
        unmatched: keys that it would leave out.
        touches_text: whether it changes a text encoder.
        obstacle: why it cannot stand beside the weights; empty when it can.
        size_bytes: of its tensors.
    """

    name: str
    sha256: str
    matched: int
    unmatched: tuple[str, ...]
    touches_text: bool
    obstacle: str
    size_bytes: int

    @property
    def keys(self) -> int:
        """Of the file."""
        return self.matched + len(self.unmatched)


class LoraShelf:
    """LoRA files against one MODEL and CLIP.

    Args:
        model: the MODEL without a LoRA.
        clip: its text encoders.
        files: by the name that cells give.
    """

    def __init__(self, model: Any, clip: Any, files: Mapping[str, Path]) -> None:
        self._model, self._clip, self._files = model, clip, dict(files)
        self._facts: dict[str, LoraFacts] = {}
        self._refused: dict[str, LoraFormatError] = {}
        self._loaded: OrderedDict[str, LoadedLora] = OrderedDict()

    def usable(self) -> tuple[str, ...]:
        """LoRAs that were read and fit the model."""
        return tuple(self._facts)

    def facts(self, name: str) -> LoraFacts:
        """What is known of a LoRA.

        Raises:
            LoraFormatError: the file cannot be read or fits nothing of the model.
        """
        if name in self._refused:
            raise self._refused[name]
        if name not in self._facts:
            try:
                self.loaded(name)
            except LoraFormatError as error:
                self._refused[name] = error
                raise
        return self._facts[name]

    def loaded(self, name: str) -> LoadedLora:
        """The LoRA in memory; those used longest ago make room.

        Raises:
            LoraFormatError: the file cannot be read or fits nothing of the model.
        """
        if name not in self._loaded:
            path = self._files[name]
            digest = remembered_file_hash(path)
            lora = load_lora(path, self._model, self._clip)
            self._facts[name] = _facts(name, digest, lora)
            self._loaded[name] = lora
            self._make_room()
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def _make_room(self) -> None:
        while len(self._loaded) > 1 and self._kept_bytes() > KEPT_BYTES:
            self._loaded.popitem(last=False)

    def _kept_bytes(self) -> int:
        return sum(self._facts[name].size_bytes for name in self._loaded)


def _facts(name: str, digest: str, lora: LoadedLora) -> LoraFacts:
    return LoraFacts(
        name=name,
        sha256=digest,
        matched=lora.matched,
        unmatched=lora.unmatched,
        touches_text=lora.touches_text,
        obstacle=lora.obstacle,
        size_bytes=sum(tensor.nbytes for tensor in lora.tensors.values()),
    )
