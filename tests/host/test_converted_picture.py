"""The story that started this project: a diffusers LoRA that does nothing in ComfyUI.

The pictures are drawn by the stock sampler; the reference is diffusers' own UNet with the LoRA
merged by diffusers itself, put in the place of ComfyUI's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

SIDE_PX = 128
POOLED = 160


@pytest.fixture(scope="module")
def diffusers_unet(demo: Any) -> Any:
    """The demo model's weights in diffusers' class."""
    from diffusers import UNet2DConditionModel

    from lora_kiln.host.base import connected_base, unpatched

    unet: Any = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(64, 128, 128),
        layers_per_block=1, transformer_layers_per_block=1, attention_head_dim=(1, 2, 2),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=256, use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=256, projection_class_embeddings_input_dim=POOLED + 6 * 256,
    )
    network = connected_base(demo.model).base.table["unet"]
    theirs = demo.model.model.diffusion_model.state_dict()
    weights = {}
    for name, target in network.foreign_names().items():
        for end in ("weight", "bias"):
            key = f"{target.module_path}.{end}"
            if key in theirs:
                # Another test may have left its LoRA merged into the weights.
                value = unpatched(demo.model, f"diffusion_model.{key}")
                weights[f"{name}.{end}"] = value.float().clone()
    unet.load_state_dict(weights)
    return unet.requires_grad_(False)


def write_lora(unet: Any, folder: Path) -> Path:
    """A LoRA as diffusers' training scripts save it, with an alpha that is not its rank."""
    from diffusers import StableDiffusionXLPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.2"]
    config = LoraConfig(r=4, lora_alpha=12, target_modules=targets, init_lora_weights=False)
    torch.manual_seed(3)
    unet.add_adapter(config, "style")
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    StableDiffusionXLPipeline.save_lora_weights(
        folder, unet_lora_layers=get_peft_model_state_dict(unet, adapter_name="style"),
        unet_lora_adapter_metadata=config.to_dict(),
    )
    (path,) = folder.glob("*.safetensors")
    return path


def draw(model: Any, clip: Any) -> torch.Tensor:
    """The latent of one picture by the stock sampler."""
    import comfy.sample

    def encode(text: str) -> Any:
        return clip.encode_from_tokens_scheduled(clip.tokenize(text))

    empty = torch.zeros(1, 4, SIDE_PX // 8, SIDE_PX // 8)
    size = {"width": SIDE_PX, "height": SIDE_PX}
    words = [[[cond, {**extra, **size}] for cond, extra in encode(text)]
             for text in ("a green tree on a hill", "")]
    latent: torch.Tensor = comfy.sample.sample(
        model, comfy.sample.prepare_noise(empty, 4), 8, 4.0, "dpmpp_2m", "karras", *words, empty,
        disable_pbar=True, seed=4,
    )
    return latent


def with_unet(model: Any, unet: Any) -> Any:
    """The MODEL with another network in its place."""
    other = model.clone()
    sampling = model.get_model_object("model_sampling")
    ids = torch.tensor([[SIDE_PX, SIDE_PX, 0, 0, SIDE_PX, SIDE_PX]], dtype=torch.float32)

    def predict(_: Any, arguments: dict[str, Any]) -> torch.Tensor:
        noisy, sigma, cond = (arguments[name] for name in ("input", "timestep", "c"))
        count = len(noisy)
        added = {"text_embeds": cond["y"][:, :POOLED].float(), "time_ids": ids.expand(count, -1)}
        noise = unet(
            sampling.calculate_input(sigma, noisy), sampling.timestep(sigma),
            encoder_hidden_states=cond["c_crossattn"], added_cond_kwargs=added,
        ).sample
        denoised: torch.Tensor = sampling.calculate_denoised(sigma, noise, noisy)
        return denoised

    other.set_model_unet_function_wrapper(predict)
    return other


def loaded(model: Any, path: Path) -> Any:
    """The MODEL with a file through the stock loader."""
    import comfy.sd
    import comfy.utils

    tensors = comfy.utils.load_torch_file(str(path), safe_load=True)
    return comfy.sd.load_lora_for_models(model, None, tensors, 1.0, 0.0)[0]


def test_a_diffusers_lora_does_nothing_until_it_is_converted(
    demo: Any, diffusers_unet: Any, tmp_path: Path
) -> None:
    import comfy.model_management

    from lora_kiln.host.base import connected_base
    from lora_kiln.host.parity import relative_difference
    from lora_kiln.lora_format.convert import ConvertSettings, convert
    from lora_kiln.lora_format.inspect import inspect
    from lora_kiln.lora_format.read import read
    from lora_kiln.lora_format.save import save_conversion

    path = write_lora(diffusers_unet, tmp_path)
    base = connected_base(demo.model).base
    with torch.inference_mode():
        plain = draw(demo.model, demo.clip)
        ignored = loaded(demo.model, path)
    report = inspect(path, base)
    assert not report.works and "Convert it" in report.remedy

    conversion = convert(read(path, base), ConvertSettings())
    saved = save_conversion(conversion, tmp_path / "converted.safetensors")
    assert saved.path is not None and inspect(saved.path, base).works

    diffusers_unet.fuse_lora(adapter_names=["style"])
    with torch.inference_mode():
        reference = draw(with_unet(demo.model, diffusers_unet), demo.clip)
        converted = draw(loaded(demo.model, saved.path), demo.clip)
        before = draw(ignored, demo.clip)
        comfy.model_management.load_models_gpu([demo.model])  # as it was, for other tests
    # Attention is passed over, and with it most of the effect: what little is read, is too weak.
    assert relative_difference(before, reference) > 0.05
    assert relative_difference(converted, reference) <= 1e-4
    assert relative_difference(converted, plain) > 0.05
