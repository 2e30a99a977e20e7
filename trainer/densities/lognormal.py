"""A bell over the logarithm of sigma (EDM, arXiv 2206.00364, table 1)."""

from __future__ import annotations

import torch

from ...core.protocols import SamplingLaw
from ..density import Density, normal_quantile
from ..told import Told


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``ln sigma = mean + spread * normal``, as a time of the model's schedule.

    Sigma is noise per unit of picture. In a flow both are mixed, and its own sigma is
    ``sigma / (1 + sigma)``: there this is a logit-normal.
    """
    level = (mean + spread * normal_quantile(even)).exp()
    return law.time(level / (1 + level) if law.prediction == "flow" else level)


DENSITY = Density(
    name="lognormal",
    title="log-normal sigma",
    quantile=quantile,
    mean=-1.2,
    spread=1.2,
    told=Told(
        formula="ln σ = mean + spread·n, −1.2 and 1.2",
        source="EDM, arXiv 2206.00364, table 1",
        elsewhere="k-diffusion",
        use="EDM models (default)",
    ),
)
