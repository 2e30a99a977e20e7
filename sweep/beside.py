"""LoRAs beside the frozen weights, with another LoRA and strength for every cell of a batch.

Nothing is patched: each module computes ``W x + up(strength * scale * down(x))``, where strength
is a vector over the batch. So cells of all strengths go through the model together, and cells of
several LoRAs, too: their factors are stacked, smaller ranks filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..core.attach import Attachment
from ..core.errors import HostError


@dataclass(frozen=True)
class Factors:
    """A plain LoRA on one module.

    Attributes:
        down: (rank, in), or (rank, in, kh, kw) for a convolution.
        up: (out, rank), or (out, rank, 1, 1).
        scale: ``alpha / rank``.
    """

    down: torch.Tensor
    up: torch.Tensor
    scale: float


LoraFactors = Mapping[str, Factors]
"""By module path of the network."""


@dataclass(frozen=True)
class CellLora:
    """What one cell of a batch has.

    Attributes:
        lora: number of its LoRA; None for none.
        strength: of it.
        part: module path -> a further factor on the strength there; None for 1 everywhere.
    """

    lora: int | None
    strength: float = 1.0
    part: Callable[[str], float] | None = None

    def weight(self, path: str) -> float:
        """Strength on this module."""
        if self.lora is None or self.strength == 0:
            return 0.0
        return self.strength * (1.0 if self.part is None else self.part(path))


def attach_loras(
    attachment: Attachment,
    modules: Mapping[str, nn.Module],
    loras: Sequence[LoraFactors],
    cells: Sequence[CellLora],
) -> None:
    """Let every concerned module add each cell's LoRA until the attachment ends.

    Args:
        attachment: undoes it.
        modules: the network's modules by path.
        loras: factors of the LoRAs, of any ranks and on any modules.
        cells: one per cell of the batch.
    """
    for path in sorted({path for lora in loras for path in lora}):
        parts = [lora[path] for lora in loras if path in lora]
        numbers = {index: n for n, index in enumerate(i for i, o in enumerate(loras) if path in o)}
        choice = [numbers.get(-1 if cell.lora is None else cell.lora, -1) for cell in cells]
        weights = [
            cell.weight(path) * parts[number].scale if number >= 0 else 0.0
            for cell, number in zip(cells, choice, strict=True)
        ]
        if any(weights):
            beside = _Beside(path, modules[path], parts, choice, weights)
            attachment.replace_forward(modules[path], beside)


class _Beside:
    """The forward of one module with its LoRAs.

    The factors wait in the dtype and on the device of the module's input. Weights stay fp32, so
    none is lost in fp16; at strength 0 the hidden units are zero, so nothing is added whatever
    overflowed later.
    """

    def __init__(
        self,
        path: str,
        module: nn.Module,
        parts: Sequence[Factors],
        choice: Sequence[int],
        weights: Sequence[float],
    ) -> None:
        self._path, self._module, self._parts = path, module, parts
        self._forward = module.forward
        self._choice = torch.tensor([max(0, number) for number in choice])
        self._weights = torch.tensor(weights, dtype=torch.float32)
        self._ready: tuple[torch.Tensor, ...] | None = None

    def __call__(self, values: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """(cells * chunks, …) as for the module itself."""
        result: torch.Tensor = self._forward(values, *args, **kwargs)
        # The host stacks cond and uncond: whole sets of cells, one after the other.
        chunks, rest = divmod(values.shape[0], len(self._weights))
        if rest:
            raise HostError(
                f"The layer {self._path} got {values.shape[0]} inputs for {len(self._weights)} "
                "cells",
                expected="a whole number of inputs per cell",
                remedy="Set mode to exact: the model mixes its batch in a way of its own",
            )
        down, up, weights, choice = self._placed(values)
        weights = weights.repeat(chunks)
        if len(self._parts) == 1:
            return result + self._with_one(values, down[0], up[0], weights)
        rows = choice.repeat(chunks)
        return result + self._with_own(values, down[rows], up[rows], weights)

    def _with_one(
        self, values: torch.Tensor, down: torch.Tensor, up: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """All rows have the same LoRA: down (rank, in, …), up (out, rank)."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        module = self._module
        if isinstance(module, nn.Conv2d):
            hidden = functional.conv2d(
                values, down, None, module.stride, module.padding, module.dilation
            )
            hidden = _weighted(hidden, weights.view(shape))
            return functional.conv2d(hidden, up[:, :, None, None])
        hidden = functional.linear(values, down)
        return functional.linear(_weighted(hidden, weights.view(shape)), up)

    def _with_own(
        self, values: torch.Tensor, down: torch.Tensor, up: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Each row has its own: down (rows, rank, in, …), up (rows, out, rank)."""
        rows, module = len(values), self._module
        spread = weights[:, None, None]
        if not isinstance(module, nn.Conv2d):
            flat = values.reshape(rows, -1, values.shape[-1])
            hidden = _weighted(torch.bmm(flat, down.transpose(1, 2)), spread)
            return torch.bmm(hidden, up.transpose(1, 2)).reshape(*values.shape[:-1], -1)
        # Rows become groups of one convolution.
        hidden = functional.conv2d(
            values.reshape(1, -1, *values.shape[2:]), down.flatten(0, 1), None, module.stride,
            module.padding, module.dilation, groups=rows,
        )
        size = hidden.shape[2:]
        hidden = _weighted(hidden.reshape(rows, down.shape[1], -1), spread)
        return torch.bmm(up, hidden).reshape(rows, -1, *size)

    def _placed(self, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Down (loras, rank, in, …), up (loras, out, rank), weights and choice of the cells."""
        ready = self._ready
        if ready is None or ready[0].dtype != values.dtype or ready[0].device != values.device:
            place, rank = (values.device, values.dtype), max(len(p.down) for p in self._parts)
            down = torch.stack([_filled(p.down.to(*place), rank, 0) for p in self._parts])
            up = torch.stack([_filled(p.up.to(*place).flatten(1), rank, 1) for p in self._parts])
            device = values.device
            ready = (down, up, self._weights.to(device), self._choice.to(device))
            self._ready = ready
        return ready


def _weighted(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Times the weights, in the dtype of the hidden units; exactly 0 where the weight is 0."""
    product = (hidden * weights).to(hidden.dtype)
    # Infinity times 0 would be no number.
    return product.masked_fill(weights == 0, 0.0)


def _filled(factor: torch.Tensor, rank: int, dim: int) -> torch.Tensor:
    """Zeros up to the rank: they add nothing."""
    missing = rank - factor.shape[dim]
    if missing == 0:
        return factor
    shape = list(factor.shape)
    shape[dim] = missing
    return torch.cat([factor, factor.new_zeros(shape)], dim)
