"""Conditions of single pictures joined to batches, so that each counts as if it were alone.

What may be joined differs: SDXL's captions may be repeated until their lengths meet, because
attention over a sequence repeated as a whole is unchanged. A transformer that reads caption and
picture as one sequence gives every token a place, so there captions must be equally long.

Z-Image fills a caption up to a multiple of 32 with a token of its own, after embedding it. Captions
that come to the same multiple can share a batch if each is filled from where *it* ends, which the
host does not do; ``CaptionPadding`` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import comfy.conds
import torch
from torch import nn

from ..core.attach import Attachment
from ..core.protocols import Cond

CAPTION, TOKEN_COUNT = "c_crossattn", "num_tokens"


class CaptionPadding:
    """Fills every caption of a batch with the network's own token from where it ends.

    Args:
        network: with ``cap_embedder``, ``cap_pad_token`` and ``pad_tokens_multiple``.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self.multiple = int(network.pad_tokens_multiple)
        self._lengths: Sequence[int] | None = None

    def padded(self, length: int) -> int:
        """Length of a caption after filling."""
        return -(-length // self.multiple) * self.multiple

    def attach(self, attachment: Attachment) -> None:
        """Let the caption's embedder fill, until the attachment ends."""
        embedder = self._network.cap_embedder
        attachment.replace_forward(embedder, partial(self._embed, embedder.forward))

    @contextmanager
    def filling(self, lengths: Sequence[int]) -> Iterator[None]:
        """While the network computes a batch of captions of these lengths."""
        self._lengths = lengths
        try:
            yield
        finally:
            self._lengths = None

    def _embed(self, original: Any, tokens: torch.Tensor) -> torch.Tensor:
        embedded: torch.Tensor = original(tokens)
        if self._lengths is None:
            return embedded
        places = torch.arange(embedded.shape[1], device=embedded.device)
        ends = torch.tensor(self._lengths, device=embedded.device)
        beyond = (places[None] >= ends[:, None])[..., None]
        return torch.where(beyond, self._network.cap_pad_token.to(embedded), embedded)


class CondBatches:
    """Splits the conditions of a batch into groups that can share a pass, and joins each group.

    Args:
        network: the diffusion network.
    """

    def __init__(self, network: nn.Module) -> None:
        multiple = getattr(network, "pad_tokens_multiple", None)
        self.padding = CaptionPadding(network) if multiple else None
        self._repeatable: set[str] = set()

    def single(self, conds: Mapping[str, Any]) -> Cond:
        """The conditions of one picture as values on the CPU: many captions would fill a card."""
        self._repeatable |= {
            name for name, cond in conds.items() if isinstance(cond, comfy.conds.CONDCrossAttn)
        }
        return {name: _kept(cond.cond) for name, cond in conds.items()}

    def groups(self, conds: Sequence[Cond]) -> list[list[int]]:
        """Places of the conditions that can share a pass, in order of first appearance."""
        found: dict[Any, list[int]] = {}
        for place, cond in enumerate(conds):
            found.setdefault(self._key(cond), []).append(place)
        return list(found.values())

    @contextmanager
    def joined(self, conds: Sequence[Cond], device: torch.device) -> Iterator[dict[str, Any]]:
        """Arguments of the network for one group, valid while it computes."""
        if self.padding is None:
            yield {name: self._join(name, conds, device) for name in conds[0]}
            return
        lengths = [int(cond[CAPTION].shape[1]) for cond in conds]
        longest = self.padding.padded(max(lengths)) if len(set(lengths)) > 1 else lengths[0]
        filled = [{**cond, CAPTION: _lengthened(cond[CAPTION], longest)} for cond in conds]
        batch = {name: self._join(name, filled, device) for name in conds[0]}
        if TOKEN_COUNT in batch:
            batch[TOKEN_COUNT] = longest
        with self.padding.filling(lengths):
            yield batch

    def _key(self, cond: Cond) -> tuple[Any, ...]:
        return tuple(self._part(name, value) for name, value in sorted(cond.items()))

    def _part(self, name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, torch.Tensor):
            # The number of tokens follows from the caption, which has its own part of the key.
            return (name,) if name == TOKEN_COUNT else (name, repr(value))
        shape = list(value.shape)
        if name in self._repeatable:
            shape[1] = 0
        elif name == CAPTION and self.padding is not None:
            shape[1] = self.padding.padded(shape[1])
        return name, *shape

    def _join(self, name: str, conds: Sequence[Cond], device: torch.device) -> Any:
        values = [cond[name] for cond in conds]
        if not isinstance(values[0], torch.Tensor):
            return values[0]
        if name in self._repeatable:
            common = math.lcm(*(value.shape[1] for value in values))
            values = [value.repeat(1, common // value.shape[1], 1) for value in values]
        return torch.cat(values).to(device)


def _kept(value: Any) -> Any:
    return value.cpu().clone() if isinstance(value, torch.Tensor) else value


def _lengthened(tokens: torch.Tensor, length: int) -> torch.Tensor:
    """(1, T, D) with zeros up to a length; what the network makes of them is replaced."""
    missing = length - tokens.shape[1]
    return torch.nn.functional.pad(tokens, (0, 0, 0, missing)) if missing else tokens
