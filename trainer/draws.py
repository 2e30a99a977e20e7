"""The random draws of a step, each a function of (run seed, step, slot, purpose).

Slots, not microbatches, seed the draws: a step that is split finer after running out of memory
draws the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..core.seeds import generator


def draw_noise(seed: int, step: int, slots: Sequence[int], shape: torch.Size) -> torch.Tensor:
    """Standard normal noise, (B, *shape), one independent draw per slot, on the CPU."""
    return torch.stack(
        [torch.randn(shape, generator=generator(seed, step, slot, "noise")) for slot in slots]
    )


def draw_timesteps(seed: int, step: int, slots: Sequence[int], count: int) -> torch.Tensor:
    """Uniform integer timesteps 0 … count-1, (B,), as DDPM trains."""
    draws = [
        torch.randint(0, count, (1,), generator=generator(seed, step, slot, "timestep"))
        for slot in slots
    ]
    return torch.cat(draws)
