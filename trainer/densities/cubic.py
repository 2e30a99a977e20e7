"""More noise than detail: composition is decided there (T2I-Adapter, arXiv 2302.08453)."""

from __future__ import annotations

import torch

from ...core.protocols import SamplingLaw
from ..density import Density
from ..told import Told


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``time = 1 - (1 - u)³``: the paper's ``1 - t³``, rising."""
    return 1 - (1 - even.double()) ** 3


DENSITY = Density(
    name="cubic",
    title="cubic",
    quantile=quantile,
    told=Told(
        formula="t = 1 − (1 − u)³",
        source="T2I-Adapter, arXiv 2302.08453",
        elsewhere="ai-toolkit (content or style)",
        use="composition and colour before detail, on any model",
    ),
)
