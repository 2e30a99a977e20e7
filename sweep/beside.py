"""A LoRA beside the frozen weights, with another strength for every cell of a batch.

Nothing is patched: each module computes ``W x + up(strength * scale * down(x))``, where strength
is a vector over the batch. So cells of all strengths go through the model together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class WeightedLora:
    """Factors by module path, and a strength per cell, (N,)."""

    factors: Mapping[str, Factors]
    strengths: torch.Tensor


def attach_loras(
    attachment: Attachment, modules: Mapping[str, nn.Module], loras: Sequence[WeightedLora]
) -> None:
    """Let every concerned module add its LoRAs until the attachment ends.

    Args:
        attachment: undoes it.
        modules: the network's modules by path.
        loras: LoRAs to apply together, of any ranks; all strengths over the same cells.

    Raises:
        ValueError: the LoRAs speak of different numbers of cells.
    """
    counts = {len(lora.strengths) for lora in loras}
    if len(counts) > 1:
        raise ValueError(f"LoRAs over {sorted(counts)} cells cannot share a batch")
    for path in sorted({path for lora in loras for path in lora.factors}):
        module = modules[path]
        own = [
            (lora.factors[path], lora.strengths) for lora in loras if path in lora.factors
        ]
        beside = _Beside(path, module, own)
        attachment.replace_forward(module, beside)


class _Beside:
    """The forward of one module with its LoRAs.

    LoRAs of different rank become one of the summed rank: their down matrices stand below each
    other, their up matrices side by side, and every hidden unit has its weight per cell. The
    factors wait in the dtype and on the device of the module's input.
    """

    def __init__(
        self, path: str, module: nn.Module, parts: Sequence[tuple[Factors, torch.Tensor]]
    ) -> None:
        self._path, self._module = path, module
        self._forward = module.forward
        self._parts = parts
        self._cells = len(parts[0][1])
        self._ready: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def __call__(self, values: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """(cells * chunks, …) as for the module itself."""
        result: torch.Tensor = self._forward(values, *args, **kwargs)
        down, up, weights = self._placed(values)
        # The host stacks cond and uncond: whole sets of cells, one after the other.
        chunks, rest = divmod(values.shape[0], self._cells)
        if rest:
            raise HostError(
                f"The layer {self._path} got {values.shape[0]} inputs for {self._cells} cells",
                expected="a whole number of inputs per cell",
                remedy="Set mode to exact: the model mixes its batch in a way of its own",
            )
        weights = weights.repeat(chunks, 1)
        module = self._module
        if isinstance(module, nn.Conv2d):
            hidden = functional.conv2d(
                values, down, None, module.stride, module.padding, module.dilation
            )
            hidden = (hidden * weights[:, :, None, None]).to(values.dtype)
            return result + functional.conv2d(hidden, up)
        hidden = functional.linear(values, down)
        spread = weights.view(len(weights), *(1,) * (hidden.ndim - 2), -1)
        return result + functional.linear((hidden * spread).to(values.dtype), up)

    def _placed(
        self, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Down, up and the (N, rank) weights; weights stay fp32, so none is lost in fp16.

        At strength 0 the hidden units are zero, so nothing is added whatever overflowed later.
        """
        ready = self._ready
        if ready is None or ready[0].dtype != values.dtype or ready[0].device != values.device:
            place = (values.device, values.dtype)
            down = torch.cat([factors.down.to(*place) for factors, _ in self._parts])
            up = torch.cat([factors.up.to(*place) for factors, _ in self._parts], dim=1)
            weights = torch.cat(
                [
                    (strengths.float() * factors.scale)[:, None].expand(-1, len(factors.down))
                    for factors, strengths in self._parts
                ],
                dim=1,
            )
            ready = self._ready = (down, up, weights.to(values.device))
        return ready
