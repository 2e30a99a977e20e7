"""DiffSynth and ModelScope: names without any prefix, PEFT's factors with the adapter's name.
"""

from __future__ import annotations

from ..format import Format

FORMAT = Format(
    name="diffsynth",
    title="DiffSynth",
    example="layers.0.attention.to_q.lora_A.default.weight",
    signature=(
        r"^(layers|noise_refiner|context_refiner|(single_)?transformer_blocks|double_blocks|"
        r"single_blocks|down_blocks|mid_block|up_blocks|input_blocks|middle_block|output_blocks)\."
        r".*\.lora_[AB]\.[^.]+\.weight$"
        r"|^(layers|noise_refiner|context_refiner|(single_)?transformer_blocks)\..*\.lora_[AB]\.weight"
    ),
    without=r"base_model\.model\.",
)
