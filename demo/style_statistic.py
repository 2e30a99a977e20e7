"""The one number that tells the demo's style, chosen before anything was trained on it."""

from __future__ import annotations

import torch


def blueness(pictures: torch.Tensor) -> float:
    """How much blue outweighs red, averaged over all pixels.

    Cyanotypes lie above 0.2; the base model's pictures of a red circle on a white background
    lie around zero or below.

    Args:
        pictures: (B, H, W, 3), RGB in 0..1.
    """
    return float((pictures[..., 2] - pictures[..., 0]).mean())
