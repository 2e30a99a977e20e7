"""PEFT itself: ``save_pretrained`` and raw state dictionaries, with any name of the adapter.

Scales stand in ``adapter_config.json`` beside the file. DoRA's magnitudes are vectors over outputs.
"""

from __future__ import annotations

from ..foreign import write_peft
from ..format import Format, Prefix, Suffix

ADAPTER = r"(?:\.(?P<adapter>(?!weight$|bias$)[^.]+))?(?:\.weight)?"

FORMAT = Format(
    name="peft",
    title="PEFT",
    example="base_model.model.down_blocks.1.attentions.0.proj_in.lora_A.weight",
    signature=r"(^|\.)base_model\.model\.",
    prefixes=(Prefix("base_model.model.", "unet"), Prefix("base_model.model.", "text")),
    suffixes=(
        Suffix(rf"\.lora_A{ADAPTER}", "lora_down"),
        Suffix(rf"\.lora_B{ADAPTER}", "lora_up"),
        Suffix(rf"\.lora_magnitude_vector{ADAPTER}", "magnitude"),
        *(
            Suffix(rf"\.{name}\.(?P<adapter>[^.]+)", name)
            for name in (
                "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
                "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
            )
        ),
    ),
    write=write_peft,
)
