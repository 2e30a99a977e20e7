"""From names in a file to modules of a model, by the table of real modules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .format import Prefix, prefixes
from .ir import NETWORK, Target
from .table import ModuleTable, Network

NESTED = re.compile(r"^((unet|transformer|text_encoder(_\d)?)\.)?(base_model\.model\.)+")
TEXT = "text"
"""A prefix that goes for every text encoder; sizes tell which."""


def targets_of(stem: str, table: ModuleTable) -> list[Target]:
    """The modules that a name in a file can mean; several only for text encoders of one shape.

    Args:
        stem: the name with its prefix, without the factor.
        table: the model's modules.
    """
    found: list[Target] = []
    for prefix, rest in _readings(stem):
        for network in _networks(prefix.component, table):
            target = _find(network, rest, flat=prefix.is_flat)
            if target is not None and target not in found:
                found.append(target)
        if found:
            return found
    return found


def _readings(stem: str) -> Iterator[tuple[Prefix, str]]:
    """Ways to take a prefix off, the longest first."""
    nested = NESTED.match(stem)
    if nested:
        component = {"unet": NETWORK, "transformer": NETWORK, None: NETWORK}.get(nested[2])
        rest = stem[nested.end():]
        if component:
            yield Prefix(".", component), rest
        if nested[2] not in ("unet", "transformer"):
            number = (nested[3] or "_1")[1:] if nested[2] else TEXT
            yield Prefix(".", number), rest
        return
    for prefix in prefixes():
        if stem.startswith(prefix.text):
            yield prefix, stem[len(prefix.text):]
    if re.match(r"lora_te\d?\.", stem):
        number = stem[7] if stem[7] != "." else "1"
        yield Prefix(".", number), stem.partition(".")[2]


def _networks(component: str, table: ModuleTable) -> list[Network]:
    encoders = [network for name, network in table.networks.items() if name != NETWORK]
    if component == TEXT:
        return encoders
    if component.isdigit():
        # Flux counts T5 as the second encoder in some files and as the third in others.
        return encoders[int(component) - 1:][:1] or (encoders[1:2] if component == "3" else [])
    return [table.networks[component]] if component in table.networks else []


def _find(network: Network, name: str, *, flat: bool) -> Target | None:
    if flat:
        name = name.strip("_")
        return network.find_flat(name) or network.find_flat(f"{name}_0")
    name = name.replace(".processor.", ".")
    return network.find(name) or network.find(f"{name}.0")
