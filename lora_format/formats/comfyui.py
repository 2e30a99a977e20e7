"""ComfyUI's own trainer and its *LoraSave* node: the names of the model as loaded.
"""

from __future__ import annotations

from ..family import components, host_prefix
from ..format import Format, Prefix
from ..ir import NETWORK

FORMAT = Format(
    name="comfyui",
    title="ComfyUI",
    example="diffusion_model.input_blocks.4.1.proj_in.lora_up.weight",
    signature=r"^(diffusion_model|text_encoders)\..*\.(lora_up\.weight|diff|diff_b|set_weight)$",
    without=r"\.(hada_|lokr_|oft_)",
    prefixes=(
        Prefix("model.diffusion_model.", NETWORK),
        *(Prefix(host_prefix(component), component) for component in components()),
        Prefix("text_encoders.transformer.", "text"),
    ),
)
