"""The loss over a run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core.errors import MissingLibrary

SMOOTHING = 0.05


def smooth(values: Sequence[float], share: float = SMOOTHING) -> list[float]:
    """Exponential average, so that single steps do not hide the trend."""
    smoothed: list[float] = []
    for value in values:
        last = smoothed[-1] if smoothed else value
        smoothed.append(last + (value - last) * share)
    return smoothed


def loss_chart(metrics: Sequence[Mapping[str, Any]], title: str) -> torch.Tensor:
    """Loss per step, single and smoothed; (480, 800, 3) in 0..1."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingLibrary("matplotlib", "it draws the loss chart") from error
    points = [(entry["step"], entry["loss"]) for entry in metrics if entry["loss"] is not None]
    steps, losses = [step for step, _ in points], [loss for _, loss in points]
    figure = Figure(figsize=(8, 4.8), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, losses, ".", markersize=3, color="#c9b8a8", label="each step")
    axes.plot(steps, smooth(losses), color="#b5432a", linewidth=2, label="smoothed")
    axes.set(title=title, xlabel="step", ylabel="loss")
    axes.grid(alpha=0.25)
    if points:
        axes.legend()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(np.float32) / 255
    return torch.from_numpy(pixels)
