"""How much of a LoRA file the stock loader takes, without merging anything."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

WITH_ONE_PER_MODULE = (".lora_down.weight", ".lora_A.weight")


class _Told(logging.Handler):
    """Keeps what the host warns of: it calls a key that it passes over nothing worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


def match(model: Any, path: Path) -> dict[str, Any]:
    """Map a file's keys as ``LoraLoader`` does, and add them to a clone of a MODEL as patches.

    Returns:
        ``modules`` in the file, ``matched`` by the loader's mapping, ``patched`` by
        ``add_patches``, and ``warnings``.
    """
    import comfy.lora
    import comfy.lora_convert
    import comfy.utils

    tensors = comfy.utils.load_torch_file(str(path), safe_load=True)
    modules = sum(key.endswith(WITH_ONE_PER_MODULE) for key in tensors)
    told, root = _Told(), logging.getLogger()
    root.addHandler(told)
    try:
        names = comfy.lora.model_lora_keys_unet(model.model, {})
        matched = comfy.lora.load_lora(comfy.lora_convert.convert_lora(tensors), names)
        patched = model.clone().add_patches(matched, 1.0)
    finally:
        root.removeHandler(told)
    return {
        "modules": modules,
        "matched": len(matched),
        "patched": len(set(patched)),
        "warnings": told.lines,
    }


def differing_weights(model: Any, path: Path, key_prefix: str) -> list[str]:
    """Weights of a loaded network that are not those of its file, bit for bit.

    Args:
        model: MODEL.
        path: the file that it was loaded from.
        key_prefix: what stands before the network's names there.
    """
    import torch
    from safetensors import safe_open

    found = dict(model.model.diffusion_model.named_parameters())
    odd = []
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  It is no mapping.
            own = found.pop(key.removeprefix(key_prefix), None)
            if own is None or not torch.equal(file.get_tensor(key), own.detach()):
                odd.append(key)
    return odd + sorted(found)
