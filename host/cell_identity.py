"""Everything that decides the picture of a cell, as one key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import comfy.cli_args
import comfy.ldm.modules.attention
import comfy.model_patcher
import comfy.sd
import torch
from comfyui_version import __version__ as comfyui_version

from ..core.settings import digest
from ..sweep.cell_settings import CellSettings
from .cell_texts import embedding_files
from .identity import clip_identity, compute_dtype_of, model_identity, vae_identity
from .lora_shelf import LoraShelf

CELL_VERSION = 1
"""Raised when the pack itself draws cells otherwise than before."""


FLAGS = (
    "fast", "force_upcast_attention", "dont_upcast_attention", "cublas_ops", "force_channels_last",
    "supports_fp8_compute", "deterministic",
)  # fmt: skip
"""ComfyUI's command line options that change how it computes, where it has them."""


def _flags() -> dict[str, str]:
    found = {}
    for name in FLAGS:
        value = getattr(comfy.cli_args.args, name, None)
        found[name] = ",".join(sorted(map(str, value))) if isinstance(value, set) else str(value)
    return found


class CellIdentity:
    """Keys of cells drawn by one MODEL, CLIP and VAE.

    Attributes:
        common: ingredients that all cells share.
        reasons: what of them cannot be recognised in another session; empty when all can.
    """

    def __init__(
        self,
        model: comfy.model_patcher.ModelPatcher,
        clip: comfy.sd.CLIP,
        vae: comfy.sd.VAE,
        shelf: LoraShelf,
    ) -> None:
        parts = {
            "model": model_identity(model),
            "clip": clip_identity(clip),
            "vae": vae_identity(vae),
        }
        self.reasons = tuple(reason for part in parts.values() for reason in part.reasons)
        self._shelf = shelf
        self._embeddings: dict[str, dict[str, str]] = {}
        self.common: dict[str, Any] = {
            **{name: part.digest for name, part in parts.items()},
            "version": CELL_VERSION,
            "comfyui": comfyui_version,
            "torch": torch.__version__,
            "device": model.load_device.type,
            "dtype": str(compute_dtype_of(model)),
            "attention": comfy.ldm.modules.attention.optimized_attention.__name__,
            "flags": _flags(),
            "vae_device": str(vae.device),
        }

    def key(self, settings: CellSettings, way: str) -> str:
        """64 hex digits.

        Args:
            settings: canonical, with the LoRA's name.
            way: how it is drawn; ways differ by rounding.
        """
        own = asdict(settings)
        # Its content, not its name, decides.
        lora = self._shelf.facts(settings.lora).sha256 if settings.has_lora else ""
        embeddings = {text: self._files(text) for text in (settings.prompt, settings.negative)}
        return digest(
            {**self.common, **own, "lora": lora, "way": way, "embeddings": embeddings}
        )

    def _files(self, prompt: str) -> dict[str, str]:
        if prompt not in self._embeddings:
            self._embeddings[prompt] = embedding_files(prompt)
        return self._embeddings[prompt]
