"""OMI, OneTrainer's newer naming: the model's own names with dots behind the component's.
"""

from __future__ import annotations

from ..family import components
from ..format import Format, Prefix
from ..ir import NETWORK

FORMAT = Format(
    name="omi",
    title="OMI (OneTrainer)",
    example="unet.output_blocks.5.1.transformer_blocks.1.ff.net.2.lora_down.weight",
    signature=r"^unet\..*\.(lora_down\.weight|alpha)$|^(clip_[lg]|t5(xxl)?)\..*\.lora_down\.weight$",
    prefixes=(
        *(Prefix(f"{name}.", name) for name in components() if name != NETWORK),
        Prefix("t5.", "t5xxl"),
    ),
)
