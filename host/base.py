"""A connected MODEL and CLIP as the table of modules that a LoRA shall fit, and as its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.model_patcher
import comfy.utils
import torch
from comfy.quant_ops import QuantizedTensor
from torch import nn

from ..core.errors import HostError
from ..lora_format.base import family_of_shapes
from ..lora_format.ir import NETWORK, Target
from ..lora_format.read import Base
from ..lora_format.table import ModuleTable, network


@dataclass(frozen=True)
class ConnectedBase:
    """Fulfils ``lora_format.bake.WeightTable``.

    Attributes:
        base: modules of the connected models.
        model: the MODEL.
        clip: the CLIP, if one is connected.
    """

    base: Base
    model: comfy.model_patcher.ModelPatcher
    clip: Any = None

    def weight(self, target: Target) -> torch.Tensor:
        """The weight of a module, on the CPU, without patches that are on it at the moment."""
        patcher, key = self.model, f"diffusion_model.{target.module_path}.weight"
        if target.component != NETWORK:
            if self.clip is None:
                raise HostError(
                    f"The LoRA changes {target}",
                    expected="CLIP connected as well",
                    remedy="Connect the checkpoint's CLIP",
                )
            patcher = self.clip.patcher
            key = f"{target.component}.transformer.{target.module_path}.weight"
        plain = unpatched(patcher, key).to("cpu")
        return plain if target.rows is None else plain[slice(*target.rows)]


def unpatched(patcher: comfy.model_patcher.ModelPatcher, key: str) -> torch.Tensor:
    """A parameter without patches that are on it at the moment, scales of quantisation applied."""
    kept = patcher.backup.get(key)
    value = kept.weight if kept is not None else comfy.utils.get_attr(patcher.model, key)
    module, _, name = key.rpartition(".")
    convert = getattr(comfy.utils.get_attr(patcher.model, module), f"convert_{name}", None)
    # Not by a method's name: every tensor has dequantize, and on MPS it fails.
    if isinstance(value, QuantizedTensor):
        value = value.dequantize()
    elif convert is not None:
        value = convert(value)
    plain: torch.Tensor = value.detach()
    return plain


def connected_base(model: Any, clip: Any = None) -> ConnectedBase:
    """The table of a connected model, with the names that diffusers gives its modules.

    Text encoders that are not connected have their family's published sizes.

    Args:
        model: MODEL.
        clip: CLIP, or None.

    Raises:
        LoraFormatError: the model is of no known family.
    """
    shapes = module_shapes(model.model.diffusion_model)
    family = family_of_shapes(shapes, "The connected model")
    networks = {NETWORK: network(NETWORK, type(family.network), shapes)}
    parts = {} if clip is None else dict(clip.cond_stage_model.named_children())
    for component, kind in family.text_encoders.items():
        part = getattr(parts.get(component), "transformer", None)
        found = kind.shapes() if part is None else module_shapes(part)
        networks[component] = network(component, type(kind), found)
    return ConnectedBase(Base(family=family.name, table=ModuleTable(networks)), model, clip)


def module_shapes(root: nn.Module) -> Mapping[str, tuple[int, ...]]:
    """Weight shapes by module path, as they were before any packing."""
    found: dict[str, tuple[int, ...]] = {}
    for path, module in root.named_modules():
        weight = getattr(module, "weight", None)
        outputs, inputs = (getattr(module, f"{side}_features", None) for side in ("out", "in"))
        if outputs is not None and inputs is not None:
            found[path] = (int(outputs), int(inputs))
        elif isinstance(weight, torch.Tensor) and weight.ndim:
            found[path] = tuple(weight.shape)
    return found
