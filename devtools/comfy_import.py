"""Makes ComfyUI importable in this process, away from anybody's models and output."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

from . import torch_shims
from .comfy_host import locate_comfyui
from .comfy_server import wanted_device

_keep_alive: list[object] = []


def import_comfy(
    base: Path | None = None, device: str | None = None, *, bf16_network: bool = False
) -> Path:
    """Put ComfyUI on the path and set it up; returns its base directory.

    Needs an interpreter that has ComfyUI's requirements: ``locate_comfyui().python``. The custom
    nodes and the ``extra_model_paths.yaml`` of a person's install are not read.

    Args:
        base: directory for models, input and output; a temporary one by default.
        device: ``cpu``, ``accelerator`` or ``auto``; by default ``KILN_TEST_DEVICE``, else the
            accelerator where torch has one.
        bf16_network: as ``--bf16-unet``: keep diffusion networks in bf16 on a CPU too.

    Raises:
        RuntimeError: something has imported ComfyUI already, without these settings.
    """
    if "folder_paths" in sys.modules:
        if not _keep_alive:
            raise RuntimeError(
                "ComfyUI was imported before import_comfy, so it may use a person's own folders. "
                "Expected import_comfy to come first: import comfy inside functions, after it."
            )
        return Path(importlib.import_module("folder_paths").base_path)
    device = wanted_device(device)
    if base is None:
        holder = tempfile.TemporaryDirectory(prefix="kiln-comfy-")
        _keep_alive.append(holder)
        base = Path(holder.name)
    base = base.resolve()
    for name in ("models/loras", "models/checkpoints", "input", "output", "temp", "custom_nodes"):
        (base / name).mkdir(parents=True, exist_ok=True)
    _keep_alive.append(base)
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.path.insert(0, str(locate_comfyui().root))
    torch_shims.install()
    importlib.import_module("comfy.options").enable_args_parsing(False)
    arguments = importlib.import_module("comfy.cli_args").args
    arguments.base_directory = str(base)
    arguments.cpu = device == "cpu" or (device == "auto" and not _torch_has_device())
    arguments.bf16_unet = bf16_network
    importlib.import_module("folder_paths")
    return base


def _torch_has_device() -> bool:
    import torch

    return bool(torch.accelerator.is_available())
