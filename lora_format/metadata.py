"""What stands in the header of a file that we write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .algorithm import algorithm_of
from .family import families
from .format import Written
from .ir import LoraFile

UNTRUE = (
    "sshs_model_hash", "sshs_legacy_hash", "format", "lora_adapter_metadata",
    "modelspec.hash_sha256",
)
"""What a source says of its own bytes or keys; no longer true of another file."""
OF_NETWORK = ("ss_network_module", "ss_network_dim", "ss_network_alpha")


def complete_metadata(
    lora: LoraFile, written: Written, own: Mapping[str, str], *, title: str, changed: bool = False
) -> dict[str, str]:
    """The source's metadata, with what the new file is added.

    Args:
        lora: what is written; its metadata are the source's.
        written: what the writer adds.
        own: where the file came from.
        title: of the new file, where the source has none.
        changed: the layers are others than the source's, so what it says of its ranks and alphas
            is not kept.
    """
    family = families()[lora.family]
    untrue = (*UNTRUE, "ss_network_args") if changed else UNTRUE
    kept = {name: text for name, text in lora.metadata.items() if name not in untrue}
    ranks = [rank for layer in lora.layers if (rank := algorithm_of(layer).rank(layer))]
    alphas = [layer.alpha for layer in lora.layers if layer.alpha is not None and
              algorithm_of(layer).scaled]
    plain = all(layer.algorithm == "lora" for layer in lora.layers)
    facts = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": family.architecture,
        "modelspec.title": title,
        "ss_base_model_version": family.base_version,
        "ss_network_module": "networks.lora" if plain else "lycoris.kohya",
        "ss_network_dim": f"{_usual(ranks)}" if ranks else "Dynamic",
        "ss_network_alpha": f"{_usual(alphas):g}" if alphas else "Dynamic",
    }
    # What a file says of its base is a guess of its trainer; what its modules say is not.
    names = ("modelspec.architecture", "ss_base_model_version", *(OF_NETWORK if changed else ()))
    forced = {name: facts[name] for name in names}
    return {**facts, **kept, **forced, **written.metadata, **own}


def _usual(values: list[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]
