"""What both training scripts need: first weights, and averaged ones."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Give a model first weights; ComfyUI's layers leave their memory as they found it."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


class Average:
    """Exponential moving average of a model's weights, shorter while it is young."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.count += 1
        decay = min(self.decay, self.count / (self.count + 20))
        for name, value in model.state_dict().items():
            self.values[name].lerp_(value, 1 - decay)

    def half(self) -> dict[str, torch.Tensor]:
        """The averaged weights in fp16, as they are committed."""
        return {name: value.half().contiguous() for name, value in self.values.items()}
