"""How much each part of the noise schedule is trained: density times weight, before any training.

With an untrained adapter the error of the output is about equally large everywhere, so the share of
weight is about the share of the gradient. A weighting that takes nearly everything from the noisy
end shows here and not after ten hours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..core.errors import MissingLibrary
from .recipe import Recipe

PARTS = 10
SAMPLES = 20_000
INK, CLAY = "#3b2f2a", "#b5432a"


def shares(recipe: Recipe, latent_shape: Sequence[int]) -> tuple[list[float], list[float]]:
    """Share of draws, and of weight, in each tenth of time from clean to noise; each sums to 1.

    Args:
        recipe: the objective of a run.
        latent_shape: (…, h, w) of a picture.
    """
    even = (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) / SAMPLES
    times = recipe.times(even, latent_shape)
    weights = recipe.weights(recipe.law.sigma(times)).double()
    places = (times * PARTS).long().clamp(0, PARTS - 1)
    drawn = torch.zeros(PARTS, dtype=torch.float64).index_add_(0, places, torch.ones_like(times))
    counted = torch.zeros(PARTS, dtype=torch.float64).index_add_(0, places, weights)
    return (drawn / drawn.sum()).tolist(), (counted / counted.sum()).tolist()


def shares_chart(recipe: Recipe, latent_shape: Sequence[int], title: str) -> torch.Tensor:
    """Both shares as bars; (480, 800, 3) in 0..1.

    Raises:
        MissingLibrary: matplotlib is not there.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingLibrary("matplotlib", "it draws the picture of shares") from error
    drawn, counted = shares(recipe, latent_shape)
    figure = Figure(figsize=(8, 4.8), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    left = np.arange(PARTS) * 1000 / PARTS
    wide = 1000 / PARTS
    bars = axes.bar(
        left, [100 * part for part in counted], wide * 0.92, align="edge", color=CLAY,
        label="share of the weight",
    )
    axes.bar_label(bars, fmt="%.1f", fontsize=8, color=INK)
    axes.step(
        [*left, 1000], [100 * part for part in (*drawn, drawn[-1])], where="post", color=INK,
        linewidth=1.5, label="share of the draws",
    )
    axes.set(title=title, xlabel="timestep: clean picture to pure noise", ylabel="%")
    axes.set_xlim(0, 1000)
    axes.set_xticks([*left, 1000])
    axes.grid(axis="y", alpha=0.25)
    axes.legend()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(np.float32) / 255
    return torch.from_numpy(pixels)
