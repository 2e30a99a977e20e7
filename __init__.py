"""LoRA Kiln: train LoRAs inside ComfyUI, on the model already loaded, and see what they do."""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """Return the extension; everything is imported in here, so that importing the pack is cheap."""
    from .nodes import KilnExtension

    return KilnExtension()
