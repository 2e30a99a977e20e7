"""What this device and this ComfyUI can do, found out by asking."""

from __future__ import annotations

import importlib
import platform
import re

import comfy.model_management
import torch


def auto_precision(device: torch.device) -> str:
    """The best precision for training: bf16 where the device has it, else fp16; fp32 on CPUs.

    Some cards have an fp16 that overflows (GTX 16xx) or crawls (GTX 10xx); the host knows them.
    An M1 or M2 emulates bf16 at half the speed (docs/mac.md), so there fp16 with loss scaling.
    """
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if comfy.model_management.should_use_fp16(device) else "fp32"
    if device.type == "cpu":
        return "fp32"
    fast = re.search(r"\bM[12]\b", _chip()) is None
    return "bf16" if fast and _multiplies(device, torch.bfloat16) else "fp16"


def _chip() -> str:
    """``Apple M1 Max``; empty where torch does not say: without MPS, or when it is old."""
    return str(torch.backends.mps.get_name()) if hasattr(torch._C, "_mps_get_name") else ""


def _multiplies(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a matrix product of this dtype works; Macs before macOS 14 refuse bf16."""
    try:
        ones = torch.ones(4, 4, device=device, dtype=dtype)
        return bool((ones @ ones).float().sum().item() == 64)
    except (RuntimeError, TypeError):
        return False


def comfyui_version() -> str:
    """Version of the ComfyUI that runs; ``unknown`` where it does not say."""
    return str(getattr(importlib.import_module("comfyui_version"), "__version__", "unknown"))


def describe() -> dict[str, str]:
    """Versions and device, for ``run.json``."""
    device = comfy.model_management.get_torch_device()
    return {
        "comfyui": comfyui_version(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "device": comfy.model_management.get_torch_device_name(device),
    }
