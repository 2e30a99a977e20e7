"""An adapter beside the frozen modules, its algebra supplied by PEFT.

PEFT is given a flat container of shells: layers with the sizes of the targeted modules, no
weights of their own, and a forward that computes the real frozen module. It wraps them, and the
wrapper's forward is attached to the real module. The model's own tree is never touched, so the
host's keys, patching and offloading go on as before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ..core.attach import Attachment
from ..core.protocols import WeightSource
from ..core.seeds import derive_seed
from ..lora_format.family import Family
from ..lora_format.ir import LoraFile, lora_layer
from .frozen import frozen_forward, is_linear
from .parts import Part

ADAPTER_NAME = "kiln"
LINEAR_GEOMETRY: tuple[str, ...] = ("in_features", "out_features")
CONV_GEOMETRY: tuple[str, ...] = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
    "groups", "padding_mode", "transposed", "output_padding",
)


class LoraAdapter:
    """Trainable low-rank factors for the targeted modules of one model; always fp32.

    Args:
        parts: what is trained, by module path.
        weights: how the host fetches frozen weights.
        seed: decides the initial factors (``down`` Kaiming-uniform, ``up`` zero).
        device: where the factors live.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        weights: WeightSource,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.parts = dict(parts)
        self._paths = sorted(self.parts)
        shells = nn.ModuleDict(
            {str(i): _shell(self.parts[path].module, weights) for i, path in enumerate(self._paths)}
        )
        _inject(shells, [self.parts[path] for path in self._paths], seed=seed)
        self.layers: dict[str, Any] = {
            path: shells[str(i)] for i, path in enumerate(self._paths)
        }
        for layer in self.layers.values():
            _settle(layer, device)

    def attach(self, attachment: Attachment) -> None:
        """Let every targeted module compute through its adapter until the attachment ends."""
        for path, layer in self.layers.items():
            attachment.replace_forward(self.parts[path].module, layer.forward)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """``<module_path>.down`` and ``.up``, in a fixed order."""
        for path in self._paths:
            layer = self.layers[path]
            yield f"{path}.down", layer.lora_A[ADAPTER_NAME].weight
            yield f"{path}.up", layer.lora_B[ADAPTER_NAME].weight

    def parameters(self) -> list[nn.Parameter]:
        """The trainable tensors, in the order of :meth:`named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """The trainable tensors by factor on the learning rate, that of most tensors first."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            rate = self.parts[name.rpartition(".")[0]].rate
            groups.setdefault(rate, []).append(parameter)
        return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))

    @property
    def largest_rank(self) -> int:
        """The largest rank of any part."""
        return max(part.rank for part in self.parts.values())

    def state(self) -> dict[str, torch.Tensor]:
        """Copies of all factors on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.named_parameters()}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Set all factors; names and shapes were checked when the state was read."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(state[name])

    def to_lora(self, family: Family, metadata: Mapping[str, str]) -> LoraFile:
        """The adapter as a LoRA, factors on the CPU in fp32."""
        state = self.state()
        layers = tuple(
            lora_layer(
                path,
                down=state[f"{path}.down"],
                up=state[f"{path}.up"],
                alpha=self.parts[path].alpha,
            )
            for path in self._paths
        )
        return LoraFile(family=family.name, layers=layers, metadata=dict(metadata))


def _shell(module: nn.Module, weights: WeightSource) -> nn.Module:
    """A layer with the module's sizes that computes the module itself.

    Its weight is one element spread over the shape: PEFT asks for device, dtype and sizes, and
    must not move the factors to wherever the host keeps the real weight at this moment.
    """
    shell: Any
    shape: tuple[Any, ...]
    if isinstance(module, nn.Conv2d):
        shell, names = nn.Conv2d.__new__(nn.Conv2d), CONV_GEOMETRY
        inputs = module.in_channels // module.groups
        shape = (module.out_channels, inputs, *module.kernel_size)
    elif is_linear(module):
        shell, names = nn.Linear.__new__(nn.Linear), LINEAR_GEOMETRY
        shape = (module.out_features, module.in_features)
    else:
        raise AssertionError(f"no shell for {type(module).__name__}")
    nn.Module.__init__(shell)
    for name in names:
        setattr(shell, name, getattr(module, name))
    shell.weight = nn.Parameter(torch.zeros(1).expand(shape), requires_grad=False)
    shell.register_parameter("bias", None)
    shell.__dict__["forward"] = partial(frozen_forward, module, module.forward, weights)
    return shell


def _inject(shells: nn.ModuleDict, parts: Sequence[Part], *, seed: int) -> None:
    """Wrap every shell in PEFT's LoRA layer, with factors that depend on the seed alone."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        target_modules=list(shells),
        rank_pattern={str(i): part.rank for i, part in enumerate(parts)},
        alpha_pattern={str(i): part.alpha for i, part in enumerate(parts)},
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(derive_seed(seed, "adapter"))
        inject_adapter_in_model(config, shells, adapter_name=ADAPTER_NAME)


def _settle(layer: Any, device: torch.device) -> None:
    """Bring the factors to their device, and let them compute in the dtype of what comes in.

    PEFT would cast the input to fp32 and keep that copy for backward; casting the small factors
    instead keeps fp32 masters and costs a rank-sized copy.
    """
    layer.cast_input_dtype_enabled = False
    for factors, forward in ((layer.lora_A, _down_forward), (layer.lora_B, _factor_forward)):
        factor = factors[ADAPTER_NAME]
        factor.to(device=device, dtype=torch.float32)
        factor.weight.requires_grad_(True)
        factor.__dict__["forward"] = partial(forward, factor)


def _factor_forward(factor: Any, values: torch.Tensor) -> torch.Tensor:
    weight = factor.weight.to(values.dtype)
    if isinstance(factor, nn.Conv2d):
        return factor._conv_forward(values, weight, None)
    return nn.functional.linear(values, weight)


def _down_forward(factor: Any, values: torch.Tensor) -> torch.Tensor:
    """Held within fp16, as the host holds what comes in here.

    A sum over inputs at fp16's limit is infinite. The host's clamp gives such a place no gradient,
    and in the gradient of ``up`` zero times infinity would be no number, whatever the loss scale.
    """
    hidden = _factor_forward(factor, values)
    if hidden.dtype != torch.float16:
        return hidden
    limit = torch.finfo(torch.float16).max
    return torch.nan_to_num(hidden, nan=0.0, posinf=limit, neginf=-limit)
