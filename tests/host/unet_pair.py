"""ComfyUI's UNet in SDXL's layout, and diffusers' with the same weights.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from lora_kiln.host.base import module_shapes
from lora_kiln.host.demo_model import TIME_IDS_WIDTH
from lora_kiln.lora_format.architectures.ldm_unet import LdmUnet
from lora_kiln.lora_format.table import network
from lora_kiln.tests.host import tiny_sdxl
from lora_kiln.trainer.law import LEAST_ALPHA_BAR

# Norms have 32 groups: with one channel in each, what a timestep adds would not matter.
TINY: dict[str, Any] = {**tiny_sdxl.CONFIG, "model_channels": 64}
FULL_WIDTH: dict[str, Any] = {
    **TINY, "model_channels": 320, "context_dim": 2048,
    "adm_in_channels": 1280 + TIME_IDS_WIDTH,
}
"""SDXL's first two levels and its middle, with one transformer block where SDXL has two and ten."""
PREDICTIONS = {"eps": "epsilon", "v": "v_prediction"}


def foreign_names(model: Any) -> dict[str, str]:
    """Diffusers' name of every module, by ComfyUI's."""
    table = network("unet", LdmUnet, module_shapes(model.model.diffusion_model))
    return {target.module_path: name for name, target in table.foreign_names().items()}


def make_twin(model: Any, config: dict[str, Any]) -> Any:
    """Diffusers' network with the weights of a MODEL."""
    channels = [config["model_channels"] * multiple for multiple in config["channel_mult"]]
    twin: Any = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=1,
        cross_attention_dim=config["context_dim"],
        # Diffusers means the number of heads. Theirs are 64 wide whatever a config says.
        attention_head_dim=[max(1, width // 64) for width in channels],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=config["adm_in_channels"],
    )
    names = foreign_names(model)
    weights = {}
    for key, value in model.model.diffusion_model.state_dict().items():
        path, _, kind = key.rpartition(".")
        weights[f"{names[path]}.{kind}"] = value.clone()
    twin.load_state_dict(weights, strict=True)
    return twin


def make_schedule(prediction: str, zero_terminal: bool, *, held: bool = True) -> Any:
    """The schedule of a plain training script for SDXL.

    Args:
        prediction: ``eps`` or ``v``.
        zero_terminal: whether it is rescaled to zero terminal SNR.
        held: the last timestep just above zero, as hosts hold it; else exactly zero.
    """
    schedule: Any = DDPMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012,
        beta_schedule="scaled_linear", prediction_type=PREDICTIONS[prediction],
        rescale_betas_zero_snr=zero_terminal,
    )
    if held:
        schedule.alphas_cumprod = schedule.alphas_cumprod.clamp(min=LEAST_ALPHA_BAR)
    return schedule


def time_ids(item: Any) -> torch.Tensor:
    """(1, 6), in the order of diffusers' pipeline: height before width."""
    place = item.geometry
    return torch.tensor([[
        place.original_height_px, place.original_width_px, place.crop_top_px, place.crop_left_px,
        place.target_height_px, place.target_width_px,
    ]])
