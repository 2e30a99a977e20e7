"""From names in a file to modules of a model, by the table of real modules."""

from __future__ import annotations

from collections.abc import Iterator

from .format import Prefix, prefixes
from .ir import NETWORK, Target
from .scales import NESTING
from .table import ModuleTable, Network

TEXT = "text"
"""A prefix that goes for every text encoder; sizes tell which."""


def targets_of(stem: str, table: ModuleTable) -> list[Target]:
    """The modules that a name in a file can mean; several only for text encoders of one shape.

    Args:
        stem: the name with its prefix, without the factor.
        table: the model's modules.
    """
    found: list[Target] = []
    for prefix, rest in _readings(_unnested(stem)):
        for network in _networks(prefix.component, table):
            target = _find(network, rest, flat=prefix.is_flat)
            if target is not None and target not in found:
                found.append(target)
        if found:
            return found
    return found


def _unnested(stem: str) -> str:
    """A name without PEFT's prefix behind another one (``unet.base_model.model.``), or repeated."""
    before, nesting, rest = stem.rpartition(NESTING)
    other = before.replace(NESTING, "")
    return (other or nesting) + rest


def _readings(stem: str) -> Iterator[tuple[Prefix, str]]:
    """Ways to take a prefix off, the longest first."""
    for prefix in prefixes():
        if stem.startswith(prefix.text):
            yield prefix, stem[len(prefix.text):]


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
