"""How much memory a pass will keep, measured on small pictures before the training begins.

What autograd keeps depends on the model, the adapter, the precision and the device: a Mac keeps the
matrix of every attention, a card with flash attention none. So it is counted, at up to three small
sizes, and carried on to the real one: a part that is always there, one that grows with the cells of
the latent, and one with their square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from ..core.attach import Attachment
from ..core.protocols import Denoiser
from ..lora_format.family import Family
from .views import View

LARGEST_SIDE = 48
"""Latent cells: a picture of 384 pixels, on which any device spends little."""
GRID = 4
"""Sides are multiples of this, which every network takes."""
SLACK, WORKSPACE_BYTES = 1.5, 300e6
"""Gradients and temporaries beside what is kept; a real Z-Image took 1.2 times the plan of 1.25."""


@dataclass(frozen=True)
class Growth:
    """``fixed + linear * n + square * n²`` bytes for a picture of n cells."""

    fixed: float
    linear: float
    square: float

    def at(self, cells: int) -> float:
        """Bytes."""
        return self.fixed + self.linear * cells + self.square * cells**2


@dataclass(frozen=True)
class Footprint:
    """What a pass keeps.

    Attributes:
        kept: with all activations kept.
        recomputed: with those inside of blocks recomputed, one block at a time.
    """

    kept: Growth
    recomputed: Growth

    def need(self, latent_shape: Sequence[int], *, recompute: bool) -> float:
        """Bytes for a batch of latents (B, C, H, W)."""
        pictures, _, height, width = latent_shape
        growth = self.recomputed if recompute else self.kept
        return SLACK * pictures * growth.at(height * width) + WORKSPACE_BYTES


NOTHING = Footprint(Growth(0, 0, 0), Growth(0, 0, 0))


def measure(denoiser: Denoiser, family: Family, view: View, seed: int) -> Footprint:
    """Count what a forward pass keeps; the model is loaded, adapter and frozen layers attached.

    Args:
        denoiser: the model.
        family: names its blocks.
        view: a picture, the one with the longest caption.
        seed: of the noise that is shown; it does not matter.
    """
    channels, height, width = view.item.latent.shape
    counts: list[tuple[int, float, float]] = []
    for side in _sides(min(height, width)):
        generator = torch.Generator().manual_seed(seed)
        noisy = torch.randn(1, channels, side, side, generator=generator).to(denoiser.device)
        sigma = denoiser.sampling.sigma(torch.tensor([0.5], dtype=torch.float64))
        with Attachment() as attachment:
            meter = _Meter()
            meter.attach(attachment, denoiser, family)
            with meter.counting():
                levels = sigma.float().to(denoiser.device)
                output = denoiser.predict(noisy, levels, [view.cond])
        del output
        counts.append((side * side, meter.total, meter.total - meter.inside + meter.at_once))
    return Footprint(
        _growth([(cells, kept) for cells, kept, _ in counts]),
        _growth([(cells, recomputed) for cells, _, recomputed in counts]),
    )


@dataclass
class _Meter:
    """Sums what autograd keeps, and how much of it lies inside of blocks.

    Attributes:
        total: bytes kept.
        inside: of these, by operations inside of blocks.
        inputs: bytes of the blocks' inputs, which are kept when the inside is not.
        largest: most bytes inside of a single block.
    """

    total: float = 0.0
    inside: float = 0.0
    inputs: float = 0.0
    largest: float = 0.0
    _seen: set[int] = field(default_factory=set)

    @property
    def at_once(self) -> float:
        """What recomputing keeps of the blocks: their inputs, and the inside of one of them."""
        return self.inputs + self.largest

    def attach(self, attachment: Attachment, denoiser: Denoiser, family: Family) -> None:
        """Watch the blocks until the attachment ends."""
        for module in denoiser.modules().values():
            if type(module).__name__ in family.training.checkpointed:
                attachment.replace_forward(module, partial(self._block, module.forward))

    @contextmanager
    def counting(self) -> Iterator[None]:
        """While a forward pass runs; what it keeps is held until the end."""
        with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
            yield

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.total += storage.nbytes()
        # Not the tensor itself: an operation that keeps its own output would hold itself for ever.
        return tensor.detach()

    def _block(self, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before = self.total
        result = forward(*args, **kwargs)
        added = self.total - before
        self.inside += added
        self.largest = max(self.largest, added)
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        self.inputs += sum(tensor.nbytes for tensor in tensors if tensor.requires_grad)
        return result


def _sides(smallest: int) -> list[int]:
    """Up to three sides below the real one, rising."""
    limit = min(LARGEST_SIDE, smallest)
    thirds = (limit * part // 3 // GRID * GRID for part in (1, 2, 3))
    return sorted({max(GRID, side) for side in thirds})


def _growth(points: Sequence[tuple[int, float]]) -> Growth:
    """The curve through up to three points; no part of it shrinks."""
    if len(points) == 1:
        ((cells, size),) = points
        return Growth(0.0, size / cells, 0.0)
    (first, low), (last, high) = points[0], points[-1]
    slope = (high - low) / (last - first)
    square = 0.0
    if len(points) == 3:
        middle, size = points[1]
        steeper = (high - size) / (last - middle) - (size - low) / (middle - first)
        square = max(0.0, steeper / (last - first))
    linear = max(0.0, slope - square * (first + last))
    return Growth(max(0.0, low - linear * first - square * first**2), linear, square)
