"""ComfyUI's own Qwen3-VL, which Generate Text runs, with small sizes and random weights.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import comfy.supported_models_base
import comfy.text_encoders.qwen3vl
import torch

from lora_kiln.tests.host.tiny_zimage import clip_of

KIND = "qwen3vl_4b"
_TEXT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
    "num_attention_heads": 2, "num_key_value_heads": 1,
}
_VISION = {
    KIND: {"hidden_size": 32, "intermediate_size": 64, "depth": 2, "deepstack_visual_indexes": [0]}
}


def make_qwen_vl() -> Any:
    """A CLIP as the stock loader makes it of a Qwen3-VL file."""
    module = comfy.text_encoders.qwen3vl
    target = comfy.supported_models_base.ClipTarget(
        module.tokenizer(model_type=KIND), module.te(model_type=KIND)
    )
    common = {**module.QWEN3VL_VISION_COMMON, "num_heads": 2}
    with patch.multiple(module, QWEN3VL_VISION=_VISION, QWEN3VL_VISION_COMMON=common):
        clip = clip_of(target, {f"{KIND}_model_config": dict(_TEXT)})
    with torch.inference_mode():
        # The picture must weigh more than the words of the template around it.
        for name, tensor in clip.cond_stage_model.named_parameters():
            if "visual.merger" in name and name.endswith("weight"):
                tensor.mul_(8.0)
    return clip
