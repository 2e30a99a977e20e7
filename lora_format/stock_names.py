"""Which keys ComfyUI's stock loader reads: its map of names, from the table of modules.

The loader ignores every other key and says so only in its log. A test holds this map against the
real loader's, for every family.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache

from .family import Family, families, table_of
from .ir import Target
from .table import ModuleTable, Network, flatten

SUFFIXES = re.compile(
    r"(?P<stem>.+?)(?:"
    r"\.lora_(?:up|down|mid)\.weight|_lora\.(?:up|down)\.weight|\.lora_[AB]\.weight"
    r"|\.lora\.(?:up|down)\.weight|\.lora_[AB]|\.lora_linear_layer\.(?:up|down)\.weight"
    r"|\.lora_[AB]\.default\.weight|\.reshape_weight|\.alpha|\.dora_scale"
    r"|\.hada_(?:w[12]_[ab]|t[12])|\.lokr_(?:w[12](?:_[ab])?|t2)|\.[ab][12]\.weight"
    r"|\.oft_blocks|\.rescale|\.[wb]_norm|\.diff|\.diff_b|\.set_weight)"
)
PROCESSOR = re.compile(r"\.to_(?=[a-z])")
CLIP_LAYER = re.compile(r".*\.layers\.\d+\.(self_attn|mlp)\..+")
CLIP_HEAD = re.compile(r"text_projection")


def stock_names(family: Family, table: ModuleTable) -> dict[str, Target]:
    """Every module name that the stock loader reads, and what it means.

    Args:
        family: the model's family.
        table: its modules.
    """
    if table is table_of(family.name):
        return dict(_published(family.name))
    return _names(family, table)


def unread_keys(keys: Collection[str], names: Mapping[str, Target]) -> list[str]:
    """Keys that the stock loader passes over.

    Args:
        keys: of the file.
        names: from :func:`stock_names`.
    """
    found = []
    for key in keys:
        match = SUFFIXES.fullmatch(key)
        if match is None or match["stem"] not in names:
            found.append(key)
    return found


def read_targets(keys: Collection[str], names: Mapping[str, Target]) -> set[Target]:
    """What the keys that the stock loader reads change."""
    stems = {match["stem"] for key in keys if (match := SUFFIXES.fullmatch(key))}
    return {names[stem] for stem in stems if stem in names}


@cache
def _published(name: str) -> dict[str, Target]:
    return _names(families()[name], table_of(name))


def _names(family: Family, table: ModuleTable) -> dict[str, Target]:
    found: dict[str, Target] = {}
    for component, forms in family.stock_forms.items():
        network = table.networks.get(component)
        if network is None:
            continue
        for form in forms:
            found |= _formed(form, network)
    return found


def _formed(form: str, network: Network) -> dict[str, Target]:
    if "{other" in form or "{processor" in form:
        names = network.foreign_names()
    else:
        names = {path: Target(network.component, path) for path in network.shapes}
    wanted = CLIP_LAYER if "{layer" in form else CLIP_HEAD if "{head" in form else None
    return {
        form.format(
            own=name, own_flat=flatten(name), other=name, other_flat=flatten(name),
            layer=name, layer_flat=flatten(name), head_flat=name, processor=_processor(name),
        ): target
        for name, target in names.items()
        if wanted is None or wanted.fullmatch(name)
    }


def _processor(name: str) -> str:
    """diffusers' attention names of 2023: ``attn1.processor.to_out`` for ``attn1.to_out.0``."""
    name = PROCESSOR.sub(".processor.to_", name)
    return name.removesuffix(".0") if name.endswith(".to_out.0") else name
