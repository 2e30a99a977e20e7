"""Dynamic loss scaling for fp16 (Micikevicius et al., arXiv 1710.03740, section 3.2).

Own few lines instead of torch's GradScaler: the same arithmetic on CUDA, MPS and CPU, and a
state of three plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

SMALLEST_SCALE = 1.0
GROWTH_INTERVAL = 200


@dataclass
class LossScale:
    """The factor on the loss: halved by an overflow, doubled after 200 good steps.

    Attributes:
        scale: the factor; 1 and fixed when scaling is off.
        enabled: only fp16 needs it.
        good_steps: steps since the last change.
    """

    enabled: bool
    scale: float = 1.0
    good_steps: int = 0

    @classmethod
    def for_precision(cls, precision: str) -> LossScale:
        """Scaling on for fp16 and off for all others."""
        return cls(enabled=precision == "fp16", scale=2.0**14 if precision == "fp16" else 1.0)

    def unscale(self, parameters: Iterable[torch.nn.Parameter]) -> bool:
        """Divide the gradients by the scale; returns whether all are finite."""
        grads = [p.grad for p in parameters if p.grad is not None]
        if self.enabled and grads:
            torch._foreach_mul_(grads, 1.0 / self.scale)
        norms = torch.stack(torch._foreach_norm(grads)) if grads else torch.zeros(1)
        return bool(torch.isfinite(norms).all())

    def update(self, finite: bool) -> None:
        """Learn from a step."""
        if not self.enabled:
            return
        if not finite:
            self.scale, self.good_steps = self.scale / 2, 0
        elif self.good_steps + 1 >= GROWTH_INTERVAL:
            self.scale, self.good_steps = self.scale * 2, 0
        else:
            self.good_steps += 1

    @property
    def exhausted(self) -> bool:
        """The scale cannot fall further: overflows are now a divergence."""
        return not self.enabled or self.scale < SMALLEST_SCALE
