"""ComfyUI's own trainer and its *LoraSave* node: the names of the model as loaded.
"""

from __future__ import annotations

from ..format import Format, Prefix

FORMAT = Format(
    name="comfyui",
    title="ComfyUI",
    example="diffusion_model.input_blocks.4.1.proj_in.lora_up.weight",
    signature=r"^(diffusion_model|text_encoders)\..*\.(lora_up\.weight|diff|diff_b|set_weight)$",
    without=r"\.(hada_|lokr_|oft_)",
    prefixes=(
        Prefix("diffusion_model.", "unet"),
        Prefix("model.diffusion_model.", "unet"),
        Prefix("text_encoders.clip_l.transformer.", "clip_l"),
        Prefix("text_encoders.clip_g.transformer.", "clip_g"),
        Prefix("text_encoders.t5xxl.transformer.", "t5xxl"),
        Prefix("text_encoders.qwen3_4b.transformer.", "qwen3_4b"),
        Prefix("text_encoders.gemma2_2b.transformer.", "gemma2_2b"),
    ),
)
