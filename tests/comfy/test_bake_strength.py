"""A picture of the baked file at strength 1 is the source's at the strength, in a real server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file

from lora_kiln.tests.comfy.test_lora_files import drawn, picture_prompt

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

ATTENTION = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1"
STRENGTH, TEXT_SHARE = 0.45, 0.5


def write_lora(folder: Path, name: str) -> None:
    """A LoRA for the demo model with a layer of each kind that strength bends in its own way."""
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int, size: float = 0.3) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * size

    tensors = {
        f"{ATTENTION}_to_q.lora_down.weight": random(4, 128),
        f"{ATTENTION}_to_q.lora_up.weight": random(128, 4),
        f"{ATTENTION}_to_q.alpha": torch.tensor(3.0),
        f"{ATTENTION}_to_v.lora_down.weight": random(4, 128),
        f"{ATTENTION}_to_v.lora_up.weight": random(128, 4),
        f"{ATTENTION}_to_v.alpha": torch.tensor(4.0),
        f"{ATTENTION}_to_v.dora_scale": random(1, 128).abs() + 0.5,
        f"{ATTENTION}_to_out_0.oft_blocks": random(32, 4, 4),
        f"{ATTENTION}_to_k.diff": random(128, 128, size=0.1),
        "lora_te1_text_model_encoder_layers_1_mlp_fc1.lora_down.weight": random(4, 96),
        "lora_te1_text_model_encoder_layers_1_mlp_fc1.lora_up.weight": random(192, 4),
        "lora_te1_text_model_encoder_layers_1_mlp_fc1.alpha": torch.tensor(4.0),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)


def prompt_of(lora_name: Any, strengths: tuple[float, float], **more: Any) -> dict[str, Any]:
    """The stock way to a picture, at strengths of model and clip."""
    prompt = picture_prompt(lora_name, **more)
    prompt["loader"]["inputs"].update(strength_model=strengths[0], strength_clip=strengths[1])
    return prompt


def test_the_picture_is_the_sources_at_the_strength(comfy_server: ComfyServer) -> None:
    loras = comfy_server.base / "models" / "loras"
    write_lora(loras, "to_bake.safetensors")
    client = comfy_server.client()

    def source(strength: float, text: float) -> np.ndarray:
        prompt = prompt_of("to_bake.safetensors", (strength, text))
        return drawn(comfy_server, client.run(prompt, timeout_s=200))

    wanted = source(STRENGTH, STRENGTH * TEXT_SHARE)
    bake = {"class_type": "KilnBakeStrength", "inputs": {
        "lora_name": "to_bake.safetensors", "name": "", "strength": STRENGTH,
        "text_share": TEXT_SHARE, "model": ["model", 0], "clip": ["model", 1],
    }}
    history = client.run(prompt_of(["bake", 0], (1.0, 1.0), bake=bake), timeout_s=200)
    told = history["outputs"]["bake"]["kiln_bake"][0]
    assert Path(told["lora_name"]) == Path("kiln/to_bake_at_0.45_text_0.5.safetensors")
    assert "2 layers became differences" in told["report"]
    found = drawn(comfy_server, history)
    # Rounding of the last bit of a weight may tip a pixel by one of 255.
    assert np.abs(found - wanted).max() <= 1
    assert np.abs(source(1.0, 1.0) - wanted).mean() > 1
    assert np.abs(source(0.0, 0.0) - wanted).mean() > 1
