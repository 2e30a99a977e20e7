"""SDXL at its real size with random weights, for measuring on a card."""

from __future__ import annotations

from typing import Any


def load_full_size() -> Any:
    """MODEL at its real size, and CLIP and VAE with random weights of the real shapes of outputs.

    Texts are the demo encoders' hidden values, widened: what is measured does not depend on them.
    """
    import comfy.model_management
    import comfy.model_patcher
    import comfy.supported_models
    import torch

    from devtools.full_size.files import SDXL
    from lora_kiln.host import demo_model

    description = comfy.supported_models.SDXL(dict(SDXL))
    device = comfy.model_management.get_torch_device()
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    description.set_inference_dtype(dtype, None)
    model = description.get_model({}, "", device=device)
    generator = torch.Generator(device).manual_seed(1)
    for _, parameter in sorted(model.diffusion_model.named_parameters()):
        if parameter.ndim == 1:
            parameter.fill_(1.0)
        else:
            parameter.normal_(0.0, parameter[0].numel() ** -0.5, generator=generator)
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=device, offload_device=device)
    _, clip, vae = demo_model.load_demo_model()
    return patcher, _widened(clip), vae


def _widened(clip: Any) -> Any:
    """A CLIP whose texts have SDXL's widths: 2048 and 1280."""
    import torch

    plain = clip.encode_from_tokens_scheduled

    def encode(tokens: Any, *args: Any, **kwargs: Any) -> Any:
        ((hidden, extra),) = plain(tokens, *args, **kwargs)
        wide = torch.nn.functional.interpolate(hidden, size=2048)
        pooled = torch.nn.functional.interpolate(extra["pooled_output"][:, None], size=1280)[:, 0]
        return [[wide, {**extra, "pooled_output": pooled}]]

    clip.encode_from_tokens_scheduled = encode
    return clip
