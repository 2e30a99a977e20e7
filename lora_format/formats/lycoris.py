"""LyCORIS: LoCon with a core, LoHa, LoKr, OFT, BOFT, norms and full differences.

Under Kohya's prefixes when trained with sd-scripts, under ``lycoris_`` when the library was used by
itself (SimpleTuner), and under dots in ai-toolkit's LoKr.
"""

from __future__ import annotations

from ..format import Format, Prefix, Suffix

FORMAT = Format(
    name="lycoris",
    title="LyCORIS",
    example="lora_unet_input_blocks_4_1_proj_in.hada_w1_a",
    signature=r"^lycoris_|\.(hada_|lokr_|oft_blocks$|oft_diag$|lora_mid|[wb]_norm$)",
    without=r"^oft_unet_",
    prefixes=(Prefix("lycoris_", "unet"),),
    suffixes=(
        Suffix(r"\.lora_mid\.weight", "lora_mid"),
        *(
            Suffix(rf"\.{name}", name)
            for name in (
                "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
                "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
                "oft_blocks", "rescale", "diff", "diff_b", "w_norm", "b_norm",
            )
        ),
    ),
)
