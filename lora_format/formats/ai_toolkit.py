"""ai-toolkit and others for transformers: ComfyUI's prefix with PEFT's factors, no alpha.
"""

from __future__ import annotations

from ..format import Format

FORMAT = Format(
    name="ai_toolkit",
    title="ai-toolkit",
    example="diffusion_model.layers.0.attention.to_q.lora_A.weight",
    signature=r"^diffusion_model\..*\.lora_[AB]\.weight$",
    without=r"^diffusion_model\.(down_blocks|mid_block|up_blocks)\.",
)
