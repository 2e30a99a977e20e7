"""A loss that can be compared: the same pictures, noise and noise levels every time.

The loss of a step mostly tells which noise level was drawn. Here each picture is asked at fixed
times spread over the schedule, so two values differ by what was learned and nothing else.
"""

from __future__ import annotations

import torch

from ..core.seeds import generator
from .step import StepRunner

TIMES = (0.1, 0.35, 0.6, 0.85)
MOST_ITEMS = 16


def probe_loss(runner: StepRunner) -> float:
    """Mean loss over up to 16 pictures at four fixed times each.

    Regularisation pictures are left out: they are not what is learned.
    """
    total, count = 0.0, 0
    learned = [views for views in runner.views if not views[0].item.regularisation]
    with torch.no_grad():
        for index, (view, *_) in enumerate(learned[:MOST_ITEMS]):
            shape = view.item.latent.shape
            for slot, time in enumerate(TIMES):
                noise = torch.randn(shape, generator=generator(runner.seed, index, slot, "probe"))
                sigma = runner.recipe.law.sigma(torch.tensor([time], dtype=torch.float64))
                losses = runner.losses_at(
                    [view], [view.cond], noise[None], noise[None], sigma
                )
                total += float(losses.sum())
                count += 1
    return total / count
