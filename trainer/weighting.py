"""How much each noise level counts. Each file in ``weightings/`` declares one weighting.

All are written over the signal-to-noise ratio and multiply the squared error of the network's own
output. Published weights are meant for noise prediction; ``eps_share`` (see ``objective``) carries
them over to other outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..core.errors import ConfigError
from ..core.registry import declared_objects
from .told import Told

Weight = Callable[[torch.Tensor, torch.Tensor, float, str], torch.Tensor]
"""(snr (B,), eps_share (B,), gamma, name of the objective) -> weight (B,), finite for SNR 0."""


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """A weighting.

    Attributes:
        name: what it is called in settings.
        title: in words, for tables and plots.
        weight: see ``Weight``.
        gamma: default of its parameter; None where it has none.
        objectives: names of the objectives for which it is defined.
        told: for the documentation.
    """

    name: str
    title: str
    weight: Weight
    gamma: float | None = None
    objectives: tuple[str, ...]
    told: Told


def weightings() -> dict[str, Weighting]:
    """Every weighting by name."""
    from . import weightings as package

    return declared_objects(package, "WEIGHTING")


def weighting_for(name: str, objective: str) -> Weighting:
    """A weighting, if it means something for this objective.

    Raises:
        ConfigError: it does not.
    """
    weighting = weightings()[name]
    if objective not in weighting.objectives:
        raise ConfigError(
            f"weighting is '{name}', and the model is trained by {objective}",
            expected=f"a model trained by {' or '.join(weighting.objectives)}",
            remedy="Set weighting to none: flow matching has its balance in the density of "
            "noise levels" if objective == "flow" else "Set weighting to none",
        )
    return weighting
