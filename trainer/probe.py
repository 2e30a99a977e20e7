"""A loss that can be compared: the same pictures, noise and noise levels every time.

The loss of a step mostly tells which noise level was drawn. Here each picture is asked at fixed
levels spread over the schedule, so two values differ by what was learned and nothing else.
"""

from __future__ import annotations

import torch

from ..core.seeds import generator
from .batches import Sample
from .step import StepRunner

LEVELS = (0.1, 0.35, 0.6, 0.85)
MOST_ITEMS = 16


def probe_loss(runner: StepRunner) -> float:
    """Mean loss over up to 16 pictures at four fixed timesteps each."""
    law, device = runner.denoiser.sampling, runner.denoiser.device
    total, count = 0.0, 0
    with torch.no_grad():
        for index in range(min(len(runner.items), MOST_ITEMS)):
            latent = runner.items[index].latent
            timesteps = torch.tensor([int(law.timestep_count * level) for level in LEVELS])
            for slot, timestep in enumerate(timesteps):
                noise = torch.randn(
                    latent.shape, generator=generator(runner.seed, index, slot, "probe")
                )
                sigma = law.sigma(timestep[None].to(device))
                losses = runner.losses_at(
                    [Sample(index, slot)],
                    latent[None].to(device),
                    noise[None].to(device),
                    sigma,
                )
                total += float(losses.sum())
                count += 1
    return total / count
