"""The random draws of a step, each a function of (run seed, step, slot, purpose).

Slots, not microbatches, seed the draws: a step that is split finer after running out of memory
draws the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..core.seeds import generator


def draw_noise(
    seed: int, step: int, slots: Sequence[int], shape: Sequence[int], purpose: str = "noise"
) -> torch.Tensor:
    """Standard normal noise, (B, *shape), one independent draw per slot, on the CPU."""
    return torch.stack(
        [torch.randn(*shape, generator=generator(seed, step, slot, purpose)) for slot in slots]
    )


def draw_chance(seed: int, step: int, slot: int, purpose: str) -> float:
    """A number from 0 to 1, for things that happen now and then."""
    return float(torch.rand(1, generator=generator(seed, step, slot, purpose)))
