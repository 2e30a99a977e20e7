"""A LoRA that comes by a link from training, or by a name from models/loras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io

from .files import file_stamp
from .types import KILN_LORA

CONNECTED = "(the connected LoRA)"


def chosen_inputs(what: str) -> tuple[io.Input, io.Input]:
    """The name and the link; ``what`` begins the name's tooltip."""
    return (
        io.Combo.Input(
            "lora_name",
            options=[CONNECTED, *folder_paths.get_filename_list("loras")],
            default=CONNECTED,
            tooltip=f"{what}; or connect one from training to the lora input.",
        ),
        KILN_LORA.Input(
            "lora", optional=True, tooltip="A LoRA straight from training; goes before lora_name."
        ),
    )


def chosen_stamp(lora_name: str | None) -> str:
    """Changes when the named file does; what is linked comes with what made it."""
    return "connected" if lora_name in (CONNECTED, "") else file_stamp(lora_name)


def chosen_lora(lora: Any, lora_name: str, node: str) -> tuple[Path, str]:
    """The file, and its name for people.

    Args:
        lora: a ``PublishedLora``, or None.
        lora_name: as the stock loader lists it, or ``CONNECTED``.
        node: the node's title, for the message.

    Raises:
        ConfigError: there is neither.
    """
    from ..core.errors import ConfigError
    from ..host.paths import resolve_lora

    if lora is not None:
        return lora.path, lora.loader_name
    if lora_name == CONNECTED:
        raise ConfigError(
            f"{node} has no LoRA",
            expected="one at the lora input, or a name in lora_name",
            remedy="Connect Train LoRA's lora output, or choose a file",
        )
    return resolve_lora(lora_name), lora_name
