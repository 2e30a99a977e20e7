"""Names of CLIP-G in SDXL checkpoints, which keep OpenCLIP's.

OpenCLIP has one matrix for queries, keys and values, and its projections of the pooled text stand
transposed.
"""

from __future__ import annotations

import re

from .stored import Layout, Stored

PREFIX = "conditioner.embedders.1.model."
PARTS = ("q", "k", "v")
BLOCK = re.compile(r"text_model\.encoder\.layers\.(\d+)\.(.+)")
IN_BLOCK = {
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
}
OUTER = {
    "text_model.final_layer_norm": "ln_final",
    "text_model.embeddings.token_embedding": "token_embedding",
}
BARE = {
    "text_model.embeddings.position_embedding": "positional_embedding",
    "text_projection": "text_projection",
}
"""Parameters without ``.weight`` behind their name."""


def stored(module_path: str, name: str) -> Stored | None:
    """Where OpenCLIP keeps a parameter that transformers calls ``module_path.name``.

    Args:
        module_path: in transformers' naming, with ``text_model.``.
        name: ``weight`` or ``bias``.
    """
    if module_path in BARE and name == "weight":
        return Stored(BARE[module_path], transposed=module_path == "text_projection")
    if module_path in OUTER:
        return Stored(f"{OUTER[module_path]}.{name}")
    match = BLOCK.fullmatch(module_path)
    if match is None:
        return None
    block = f"transformer.resblocks.{match[1]}"
    for index, part in enumerate(PARTS):
        if match[2] == f"self_attn.{part}_proj":
            return Stored(f"{block}.attn.in_proj_{name}", third=index)
    inner = IN_BLOCK.get(match[2])
    return None if inner is None else Stored(f"{block}.{inner}.{name}")


LAYOUT = Layout(PREFIX, stored)
