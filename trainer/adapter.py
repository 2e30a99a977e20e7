"""An adapter beside the frozen modules, its algebra supplied by PEFT.

PEFT is given a flat container of shells: layers with the sizes of the targeted modules, no
weights of their own, and a forward that computes the real frozen module. It wraps them, and the
wrapper's forward is attached to the real module. The model's own tree is never touched, so the
host's keys, patching and offloading go on as before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from ..core.attach import Attachment
from ..core.errors import HostError
from ..core.protocols import Denoiser, WeightSource
from ..core.seeds import derive_seed
from ..lora_format.family import Family
from ..lora_format.ir import LoraFile, lora_layer
from .frozen import frozen_forward, is_foldable, is_linear

ADAPTER_NAME = "kiln"
LINEAR_GEOMETRY: tuple[str, ...] = ("in_features", "out_features")
CONV_GEOMETRY: tuple[str, ...] = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
    "groups", "padding_mode", "transposed", "output_padding",
)


class LoraAdapter:
    """Trainable low-rank factors for the targeted modules of one model; always fp32.

    Args:
        targets: frozen modules by module path.
        weights: how the host fetches frozen weights.
        rank: rows of each ``down``.
        alpha: numerator of the scale.
        seed: decides the initial factors (``down`` Kaiming-uniform, ``up`` zero).
        device: where the factors live.
    """

    def __init__(
        self,
        targets: Mapping[str, nn.Module],
        weights: WeightSource,
        *,
        rank: int,
        alpha: float,
        seed: int,
        device: torch.device,
    ) -> None:
        self.targets = dict(targets)
        self.rank, self.alpha = rank, alpha
        self._paths = sorted(self.targets)
        shells = nn.ModuleDict(
            {str(i): _shell(self.targets[path], weights) for i, path in enumerate(self._paths)}
        )
        _inject(shells, rank=rank, alpha=alpha, seed=seed)
        self.layers: dict[str, Any] = {
            path: shells[str(i)] for i, path in enumerate(self._paths)
        }
        for layer in self.layers.values():
            _settle(layer, device)

    def attach(self, attachment: Attachment) -> None:
        """Let every targeted module compute through its adapter until the attachment ends."""
        for path, layer in self.layers.items():
            attachment.replace_forward(self.targets[path], layer.forward)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """``<module_path>.down`` and ``.up``, in a fixed order."""
        for path in self._paths:
            layer = self.layers[path]
            yield f"{path}.down", layer.lora_A[ADAPTER_NAME].weight
            yield f"{path}.up", layer.lora_B[ADAPTER_NAME].weight

    def parameters(self) -> list[nn.Parameter]:
        """The trainable tensors, in the order of :meth:`named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

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
                alpha=self.alpha,
            )
            for path in self._paths
        )
        return LoraFile(family=family.name, layers=layers, metadata=dict(metadata))


def find_targets(denoiser: Denoiser, family: Family) -> dict[str, nn.Module]:
    """The modules a LoRA trains by default.

    Raises:
        HostError: none, or one whose kind we cannot differentiate.
    """
    targets = {
        path: module for path, module in denoiser.modules().items() if family.is_target(path)
    }
    if not targets:
        raise HostError(
            f"None of the model's modules has a name that a {family.title} LoRA trains",
            expected="attention and feed-forward layers named as ComfyUI names them",
            remedy="Connect the model straight from a checkpoint loader",
        )
    odd = [path for path, module in targets.items() if not is_foldable(module)]
    if odd:
        raise HostError(
            f"{odd[0]} is a {type(targets[odd[0]]).__name__}",
            expected="a Linear or Conv2d layer",
            remedy="Connect the checkpoint in another precision (fp16, bf16 or plain fp8), and "
            "without nodes that replace layers",
        )
    return targets


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


def _inject(shells: nn.ModuleDict, *, rank: int, alpha: float, seed: int) -> None:
    """Wrap every shell in PEFT's LoRA layer, with factors that depend on the seed alone."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(shells))  # type: ignore[arg-type]
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
    for factors in (layer.lora_A, layer.lora_B):
        factor = factors[ADAPTER_NAME]
        factor.to(device=device, dtype=torch.float32)
        factor.weight.requires_grad_(True)
        factor.__dict__["forward"] = partial(_factor_forward, factor)


def _factor_forward(factor: Any, values: torch.Tensor) -> torch.Tensor:
    weight = factor.weight.to(values.dtype)
    if isinstance(factor, nn.Conv2d):
        return factor._conv_forward(values, weight, None)
    return nn.functional.linear(values, weight)
