"""Kohya's OFT (sd-scripts ``networks/oft.py``): a prefix of its own, for the UNet only.
"""

from __future__ import annotations

from ..format import Format, Prefix

FORMAT = Format(
    name="kohya_oft",
    title="Kohya's OFT",
    example="oft_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.oft_blocks",
    signature=r"^oft_unet_",
    prefixes=(Prefix("oft_unet_", "unet"),),
)
