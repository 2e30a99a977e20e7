"""Moving noise levels towards noise, because large pictures hide it better.

Stable Diffusion 3, arXiv 2403.03206, section 5.3.2: neighbouring pixels of a large picture tell
more about each other, so it takes a higher level to destroy as much of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..core.errors import ConfigError
from ..core.protocols import SamplingLaw

SHIFTS = ("none", "static", "resolution", "model")
FEW_TOKENS, MANY_TOKENS = 256, 4096
SHIFT_AT_FEW, SHIFT_AT_MANY = 0.5, 1.15
"""Flux.1's straight line from the logarithm of the shift at 256² pixels to that at 1024²."""


def shifted(time: torch.Tensor, shift: float) -> torch.Tensor:
    """``s * t / (1 + (s - 1) * t)``; 0 and 1 stay where they are."""
    return shift * time / (1 + (shift - 1) * time)


def shift_by_tokens(tokens: int) -> float:
    """``exp(mu)``, mu on the straight line over the number of picture tokens.

    3.16 for 1024 x 1024 pixels in tokens of 16 x 16, 1.88 for 512 x 512.
    """
    slope = (SHIFT_AT_MANY - SHIFT_AT_FEW) / (MANY_TOKENS - FEW_TOKENS)
    return math.exp(SHIFT_AT_FEW + slope * (tokens - FEW_TOKENS))


def shift_for(
    kind: str, value: float, law: SamplingLaw, latent_shape: Sequence[int], patch: int
) -> float:
    """The shift of one picture.

    Args:
        kind: one of ``SHIFTS``.
        value: of a static shift.
        law: of the model, for ``model``.
        latent_shape: (…, h, w).
        patch: side of a token in latent cells.

    Raises:
        ConfigError: the model has no shift of its own.
    """
    if kind == "none":
        return 1.0
    if kind == "static":
        return value
    if kind == "resolution":
        return shift_by_tokens((latent_shape[-2] // patch) * (latent_shape[-1] // patch))
    if law.shift is None:
        raise ConfigError(
            "shift is 'model', and the connected model has no shift",
            expected="a flow model, such as Z-Image",
            remedy="Set shift to auto",
        )
    return law.shift
