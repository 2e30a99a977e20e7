"""The grids that the sweep benchmarks draw, and LoRAs for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPT, STEPS, SIDE_PX = "a red circle on a white background", 20, 128
FULL_SIDE_PX = 1024


@dataclass(frozen=True)
class Grid:
    """Cells of LoRA x strength x CFG.

    Attributes:
        loras: how many, of ranks 4, 8, 16, 4, 8, …
        strengths: of each.
        scales: CFG of each.
    """

    loras: int
    strengths: tuple[float, ...]
    scales: tuple[float, ...]

    def names(self) -> list[str]:
        """LoRA files of the grid."""
        return [f"bench_{number}.safetensors" for number in range(self.loras)]

    def cells(self) -> list[tuple[str, float, float]]:
        """Name, strength and CFG, ordered so that the stock nodes can reuse the most."""
        return [(n, s, c) for n in self.names() for s in self.strengths for c in self.scales]


GRIDS = {
    "strength x CFG": Grid(1, tuple(n / 5 for n in range(9)), (1.5, 3.0, 4.5, 6.0, 8.0)),
    "checkpoint x strength": Grid(6, (0.0, 0.4, 0.8, 1.2, 1.6), (5.0,)),
}
"""9 x 5 and 6 x 5; the strengths begin at 0, the model alone."""


def write_loras(model: Any, folder: Path, grid: Grid) -> dict[str, Path]:
    """Files by name."""
    files = {}
    for number, name in enumerate(grid.names()):
        rank = 4 << (number % 3)
        files[name] = write_lora(model, folder / name, rank=rank, seed=number)
    return files


def write_lora(model: Any, path: Path, *, rank: int = 8, seed: int = 0) -> Path:
    """A LoRA on all targets of SDXL, with random factors."""
    import torch

    from lora_kiln.core import atomic
    from lora_kiln.lora_format.family import families

    family = families()["sdxl"]
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for module_path, module in model.model.diffusion_model.named_modules():
        if family.is_target(module_path):
            out, inside = module.weight.shape[:2]
            key = family.key_prefixes["unet"] + module_path.replace(".", "_")
            down = torch.randn(rank, inside, generator=generator)
            up = torch.randn(out, rank, generator=generator)
            tensors[f"{key}.lora_down.weight"] = 0.05 * down
            tensors[f"{key}.lora_up.weight"] = 0.05 * up
            tensors[f"{key}.alpha"] = torch.tensor(float(rank))
    atomic.write_tensors(path, tensors)
    return path


def plan_of(grid: Grid, side_px: int) -> Any:
    """The grid as a sweep."""
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.cells import Cell, SweepPlan

    settings = [
        CellSettings(
            lora=name, strength=strength, cfg=cfg, prompt=PROMPT, steps=STEPS, width_px=side_px,
            height_px=side_px,
        )
        for name, strength, cfg in grid.cells()
    ]
    cells = tuple(Cell(n, 0, 0, n, own) for n, own in enumerate(settings))
    labels: Sequence[str] = [str(cell.index) for cell in cells]
    return SweepPlan(cells, ("cells",), tuple(labels), ("",))
