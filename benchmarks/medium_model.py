"""``kiln-medium``: SDXL's full depths at 128 base channels, with random weights from a seed."""

from __future__ import annotations

from typing import Any

import torch

LATENT_SIDE = 32
TOKENS, CONTEXT, POOLED = 77, 2048, 1280
CONFIG: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 128,
    "channel_mult": [1, 2, 4],
    "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "num_heads": -1,
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "legacy": False,
    "context_dim": CONTEXT,
    "adm_in_channels": POOLED + 6 * 256,
    "num_classes": "sequential",
    "use_temporal_attention": False,
}


def load_medium(disable_dynamic: bool = False) -> Any:
    """A MODEL whose weights are inference tensors, as nodes load them; reloadable by core."""
    import comfy.model_management
    import comfy.model_patcher
    import comfy.supported_models

    del disable_dynamic
    config = comfy.supported_models.SDXL(dict(CONFIG))
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in sorted(model.diffusion_model.named_parameters()):
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                fan_in = parameter[0].numel()
                parameter.normal_(0.0, fan_in**-0.5, generator=generator)
    device = comfy.model_management.get_torch_device()
    patcher = comfy.model_patcher.ModelPatcher(
        model, load_device=device, offload_device=comfy.model_management.unet_offload_device()
    )
    patcher.cached_patcher_init = (load_medium, ())
    return patcher


def made_inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One latent, its text and its pooled text, from a seed."""
    generator = torch.Generator().manual_seed(2)
    latent = torch.randn(1, 4, LATENT_SIDE, LATENT_SIDE, generator=generator)
    text = torch.randn(1, TOKENS, CONTEXT, generator=generator)
    return latent, text, torch.randn(1, POOLED, generator=generator)
