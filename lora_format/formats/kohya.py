"""Kohya sd-scripts naming, which ComfyUI's stock loader reads whole.

Example keys, for the module ``input_blocks.4.1.proj_in`` of SDXL's UNet::

    lora_unet_input_blocks_4_1_proj_in.lora_down.weight
    lora_unet_input_blocks_4_1_proj_in.lora_up.weight
    lora_unet_input_blocks_4_1_proj_in.alpha
"""

from __future__ import annotations

import torch

from ...core.errors import LoraFormatError
from ..family import families
from ..ir import LoraFile


def to_tensors(lora: LoraFile, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the file's tensors by key.

    Args:
        lora: the LoRA; every layer must belong to the UNet.
        dtype: of factors and alphas alike, as real files have it.

    Raises:
        LoraFormatError: two modules would share a key, or a layer is not the UNet's.
    """
    prefix = families()[lora.family].key_prefix
    tensors: dict[str, torch.Tensor] = {}
    for layer in lora.layers:
        if layer.component != "unet":
            raise LoraFormatError(
                f"{layer.module_path} belongs to '{layer.component}'",
                expected="layers of the diffusion network only",
                remedy="Leave text-encoder layers out of this LoRA",
            )
        name = prefix + layer.module_path.replace(".", "_")
        if f"{name}.alpha" in tensors:
            raise LoraFormatError(
                f"Two modules share the key {name}",
                expected="one module per key",
                remedy="Please report this model's architecture",
            )
        tensors[f"{name}.lora_down.weight"] = layer.down.to(dtype).contiguous()
        tensors[f"{name}.lora_up.weight"] = layer.up.to(dtype).contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(layer.alpha, dtype=dtype)
    return tensors
