"""What the stock nodes draw: the reference that a sweep's cells must equal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import comfy.model_patcher
import comfy.sd
import torch

from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import Cell

PROMPT, NEGATIVE = "a (red:1.2) star over the sea", "blue"


def settings(**changes: Any) -> CellSettings:
    """A small picture: 8 x 8 latents, four steps."""
    plain: dict[str, Any] = {
        "steps": 4, "width_px": 64, "height_px": 64, "prompt": PROMPT, "negative": NEGATIVE,
    }
    return CellSettings(**{**plain, **changes})


def row_of_cells(*each: CellSettings) -> list[Cell]:
    """Cells beside each other."""
    return [Cell(index, 0, 0, index, own) for index, own in enumerate(each)]


def draw_stock(
    model: comfy.model_patcher.ModelPatcher, clip: comfy.sd.CLIP, lora: Path, cell: CellSettings
) -> torch.Tensor:
    """(1, C, h, w): Load LoRA, two CLIP Text Encode, Empty Latent Image and KSampler."""
    nodes = stock_nodes()
    with torch.inference_mode():
        strength = cell.strength
        patched, text = nodes.LoraLoader().load_lora(
            model, clip, lora.name, strength, cell.text_strength
        )
        (positive,) = nodes.CLIPTextEncode().encode(text, cell.prompt)
        (negative,) = nodes.CLIPTextEncode().encode(text, cell.negative)
        (empty,) = nodes.EmptyLatentImage().generate(cell.width_px, cell.height_px, 1)
        (latent,) = nodes.KSampler().sample(
            patched, cell.seed, cell.steps, cell.cfg, cell.sampler, cell.scheduler, positive,
            negative, empty,
        )
        samples: torch.Tensor = latent["samples"]
        return samples


def stock_nodes() -> Any:
    """ComfyUI's own ``nodes``, which lies beside its ``folder_paths``."""
    import nodes

    assert Path(nodes.__file__).parent == Path(sys.modules["folder_paths"].__file__ or "").parent
    return nodes


def difference(latent: torch.Tensor, stock: torch.Tensor) -> float:
    """Largest absolute difference as a share of the stock latent's range."""
    span = float(stock.max() - stock.min())
    return float((latent - stock).abs().max()) / span
