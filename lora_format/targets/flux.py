"""Flux.1.

A single block has attention and feed-forward in one layer each (``linear1``, ``linear2``), so
``attention`` takes a part of the feed-forward along.
"""

from __future__ import annotations

_SINGLE = r"^single_blocks\.\d+\.linear[12]$"
_ATTENTION = r"^double_blocks\.\d+\.(img|txt)_attn\.(qkv|proj)$"
_FF = r"^double_blocks\.\d+\.(img|txt)_mlp\.[02]$"
_MODULATION = r"^(double_blocks\.\d+\.(img|txt)_mod|single_blocks\.\d+\.modulation)\.lin$"

PRESETS = {
    "attention": "|".join((_ATTENTION, _SINGLE)),
    "attention_ff": "|".join((_ATTENTION, _SINGLE, _FF)),
    "linear": "|".join((_ATTENTION, _SINGLE, _FF, _MODULATION)),
}
BLOCKS = ((r"^double_blocks\.(\d+)\.", "double"), (r"^single_blocks\.(\d+)\.", "single"))
