"""Puts the parts of a sweep together: the one way in for nodes and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import comfy.model_patcher
import comfy.sd

from ..core.protocols import Progress
from ..core.settings import digest
from . import paths
from .cell_identity import CellIdentity
from .cell_sampler import CellSampler
from .cell_store import CellStore
from .lora_shelf import LoraShelf
from .sweep_pace import PaceMemory
from .sweeping import SweepRunner
from .vae import ComfyVae


def make_runner(
    model: comfy.model_patcher.ModelPatcher,
    clip: comfy.sd.CLIP,
    vae: comfy.sd.VAE,
    files: Mapping[str, Path],
    progress: Progress,
    mode: str = "auto",
    *,
    cache: Path | None = None,
) -> SweepRunner:
    """A sweep over these LoRAs.

    Args:
        model: the MODEL without a LoRA.
        clip: its text encoders.
        vae: decodes.
        files: LoRA files by the name that cells give.
        progress: tells the person, and hears Cancel.
        mode: one of ``sweeping.MODES``.
        cache: folder of finished cells; the pack's own when left out.
    """
    cache = cache or paths.cache_folder()
    shelf = LoraShelf(model, clip, files)
    identity = CellIdentity(model, clip, vae, shelf)
    pace_key = digest({"cells": identity.common, "device": str(model.load_device)})
    runner = SweepRunner(
        sampler=CellSampler(model, clip, shelf),
        vae=ComfyVae(vae, model),
        store=CellStore(cache / "cells", identity.key),
        progress=progress,
        mode=mode,
        pace=PaceMemory(cache / "sweep_pace.json", pace_key),
    )
    if identity.reasons:
        runner.notes.append(
            "finished cells are found again in this session only, since "
            f"{'; '.join(identity.reasons)}"
        )
    return runner
