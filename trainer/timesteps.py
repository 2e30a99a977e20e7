"""Which noise levels a step trains at: evenly spread draws through a density.

The loss depends far more on the level than on the picture. Drawn independently, levels bunch and
leave gaps, and the gradient is noisy for no reason. Here the samples of a step fall into equal
parts of the density, one each, and over ``ROUND`` steps each part is covered evenly in turn
(stratified sampling, as in Variational Diffusion Models, arXiv 2107.00630, appendix I). Every
single draw is still distributed as the density says, so nothing is learned differently.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..core.seeds import generator, permutation

ROUND = 8
"""Steps over which the parts of a density are covered evenly; matters most at batch size 1."""


def even_draws(
    seed: int, step: int, slots: Sequence[int], total: int, *, stratified: bool
) -> torch.Tensor:
    """Numbers in 0..1 to put through a quantile function; (B,) float64.

    Args:
        seed: the run's seed.
        step: number of the step, from 0.
        slots: which of the step's samples these are.
        total: how many samples the step has, over all of its microbatches.
        stratified: spread them evenly; else every one is drawn on its own.
    """
    jitter = torch.cat(
        [
            torch.rand(1, generator=generator(seed, step, slot, "timestep"), dtype=torch.float64)
            for slot in slots
        ]
    )
    if not stratified:
        return jitter
    order = permutation(total, seed, step, "timestep parts")
    parts = [order[slot] for slot in slots]
    within = [_part_of_part(seed, step, part, total) for part in parts]
    base = torch.tensor(
        [part * ROUND + inner for part, inner in zip(parts, within, strict=True)],
        dtype=torch.float64,
    )
    return (base + jitter) / (total * ROUND)


def _part_of_part(seed: int, step: int, part: int, total: int) -> int:
    """Which eighth of a part this step takes: each of them once in a round, in random order."""
    turn, position = divmod(step, ROUND)
    return permutation(ROUND, seed, turn, part, total, "timestep round")[position]
