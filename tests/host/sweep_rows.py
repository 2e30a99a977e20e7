"""What a parity test draws: rows over samplers, schedulers, kinds of LoRA and patches."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import comfy.samplers
import torch

from lora_kiln.host.cell_sampler import CellSampler
from lora_kiln.host.lora_shelf import LoraShelf
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import Cell
from lora_kiln.tests.host import stock_run, tiny_sdxl, tiny_zimage

FAMILIES = ("sdxl", "z_image")
KINDS = ("plain", "two", "dora", "oft", "loha", "text")
PATCHES = ("none", "rescale", "perturbed")
SCALES = ("mixed", "one")
PROMPTS = ("a (red:1.2) star over the sea", "a boat")
SIDE_PX, STEPS, TRIES = 64, 3, 80
CANDIDATES = 40


@dataclass(frozen=True)
class Row:
    """One batch: everything that its cells share, and which scales they mix."""

    family: str
    sampler: str
    scheduler: str
    kind: str
    patch: str
    scales: str


@dataclass(frozen=True)
class Drawn:
    """What became of a row.

    Attributes:
        worst: largest difference to the stock nodes, as a share of the latent's range.
        ways: how its cells were drawn.
        reasons: why not batched.
    """

    worst: float
    ways: frozenset[str]
    reasons: frozenset[str]


def pairwise_rows() -> list[Row]:
    """Every sampler with both families, chosen so that they cover the most pairs of the rest."""
    chance = random.Random(0)
    covered: set[tuple[Any, ...]] = set()
    rows = []
    for sampler in comfy.samplers.KSampler.SAMPLERS:
        for family in FAMILIES:
            candidates = [_random_row(chance, family, sampler) for _ in range(CANDIDATES)]
            best = max(candidates, key=lambda row: len(_pairs(row) - covered))
            covered |= _pairs(best)
            rows.append(best)
    return rows


def exhaustive_rows() -> Iterator[Row]:
    """Every sampler with every scheduler and family; kinds, patches and scales in turn."""
    number = 0
    for sampler in comfy.samplers.KSampler.SAMPLERS:
        for scheduler in comfy.samplers.KSampler.SCHEDULERS:
            for family in FAMILIES:
                number += 1
                yield Row(
                    family, sampler, scheduler, KINDS[number % 5 if family == "z_image" else
                    number % 6], PATCHES[number // 2 % 3], SCALES[number // 5 % 2],
                )  # fmt: skip


def _random_row(chance: random.Random, family: str, sampler: str) -> Row:
    # The tiny Z-Image's text encoder takes no LoRA.
    kinds = KINDS if family == "sdxl" else KINDS[:-1]
    scheduler = chance.choice(comfy.samplers.KSampler.SCHEDULERS)
    return Row(
        family, sampler, scheduler, chance.choice(kinds), chance.choice(PATCHES),
        chance.choice(SCALES),
    )  # fmt: skip


def _pairs(row: Row) -> set[tuple[Any, ...]]:
    each = [(item.name, getattr(row, item.name)) for item in fields(row)]
    return set(combinations(each, 2))


@cache
def _wires(family: str) -> tuple[Any, Any]:
    tiny = tiny_sdxl if family == "sdxl" else tiny_zimage
    return tiny.make_model(), tiny.make_clip()


def _patched(model: Any, patch: str) -> Any:
    from comfy_extras.nodes_model_advanced import RescaleCFG
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    if patch == "rescale":
        return RescaleCFG().patch(model, 0.7)[0]
    if patch == "perturbed":
        return PerturbedAttentionGuidance.execute(model, 3.0).args[0]
    return model


def _files(comfy: Path, family: str, kind: str) -> list[Path]:
    """LoRA files of a kind; two of unequal rank, modules and format."""
    tiny = tiny_sdxl if family == "sdxl" else tiny_zimage
    model = _wires(family)[0]
    plain = tiny.lora_tensors(model, rank=4)
    each = [plain]
    if kind == "two":
        each.append(_peft_names(tiny.lora_tensors(model, rank=7, seed=3), model))
    elif kind == "text":
        each = [{**plain, **tiny_sdxl.text_lora_tensors()}]
    elif kind != "plain":
        each = [_with_another(plain, kind)]
    return [
        tiny_sdxl.write_lora(comfy, f"parity_{family}_{kind}_{number}.safetensors", tensors)
        for number, tensors in enumerate(each)
    ]


def _peft_names(tensors: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """PEFT's spelling without alpha, on every second layer."""
    paths = {f"lora_unet_{p.replace('.', '_')}": p for p, _ in
             model.model.diffusion_model.named_modules()}
    found = {}
    for name in [key.removesuffix(".alpha") for key in tensors if key.endswith(".alpha")][::2]:
        path = paths.get(name, name.removeprefix("diffusion_model."))
        found[f"diffusion_model.{path}.lora_A.weight"] = tensors[f"{name}.lora_down.weight"]
        found[f"diffusion_model.{path}.lora_B.weight"] = tensors[f"{name}.lora_up.weight"] / 2
    return found


def _with_another(tensors: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """The first attention layer as another algorithm."""
    chance = torch.Generator().manual_seed(2)
    name = next(
        key.removesuffix(".alpha") for key in tensors
        if key.endswith(".alpha") and ("attn1_to_q" in key or "attention.qkv" in key)
    )
    down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
    if kind == "dora":
        scale = 0.5 + torch.rand(len(up), 1, generator=chance)
        return {**tensors, f"{name}.dora_scale": scale}
    rest = {key: value for key, value in tensors.items() if not key.startswith(f"{name}.")}
    if kind == "oft":
        blocks = 0.2 * torch.randn(len(up) // 16, 16, 16, generator=chance)
        return {**rest, f"{name}.oft_blocks": blocks, f"{name}.alpha": torch.tensor(0.0)}
    half = {"w1_a": up, "w1_b": down, "w2_a": 0.3 * up.flip(0), "w2_b": down.flip(0)}
    return {**rest, **{f"{name}.hada_{part}": value for part, value in half.items()}}


def draw(row: Row, comfy: Path) -> Drawn:
    """Draw a row's cells as a sweep does, and again with the stock nodes."""
    model, clip = _wires(row.family)
    model = _patched(model, row.patch)
    files = {path.name: path for path in _files(comfy, row.family, row.kind)}
    cells = _cells(row, list(files))
    with torch.inference_mode():
        sampler = CellSampler(model, clip, LoraShelf(model, clip, files))
        latents, ways, reasons = _draw_as_sweep(sampler, cells)
        stock = [
            stock_run.draw_stock(model, clip, Path(cell.settings.lora), cell.settings)
            for cell in cells
        ]
    worst = max(
        stock_run.difference(latents[cell.index], own[0])
        for cell, own in zip(cells, stock, strict=True)
    )
    return Drawn(worst, frozenset(ways), frozenset(reasons))


def _cells(row: Row, loras: Sequence[str]) -> list[Cell]:
    """Strengths below 0 and above 1, one of them 0; scales and seeds; LoRAs in turn."""
    chance = random.Random(repr(row))
    each = []
    for number in range(5):
        one = row.scales == "one" or number == 3
        each.append(
            CellSettings(
                lora=loras[number % len(loras)],
                strength=0.0 if number == 4 else round(chance.uniform(-1.5, 2.0), 2),
                cfg=1.0 if one else round(chance.uniform(1.5, 8.0), 1),
                seed=chance.randrange(1 << 40),
                steps=STEPS,
                sampler=row.sampler,
                scheduler=row.scheduler,
                prompt=PROMPTS[0] if row.family == "z_image" else PROMPTS[number % 2],
                negative="blue",
                width_px=SIDE_PX,
                height_px=SIDE_PX,
            )
        )
    return [Cell(index, 0, 0, index, own) for index, own in enumerate(each)]


def _draw_as_sweep(
    sampler: CellSampler, cells: Sequence[Cell]
) -> tuple[dict[int, torch.Tensor], set[str], set[str]]:
    groups: dict[Any, list[Cell]] = {}
    reasons = set()
    for cell in cells:
        alone, patched = sampler.why_alone(cell.settings), sampler.why_patched(cell.settings)
        way = "alone" if alone else "patched" if patched else "batched"
        reasons |= {alone or patched} - {""}
        key = cell.index if way == "alone" else sampler.alike(cell.settings, way)
        groups.setdefault((way, key), []).append(cell)
    latents = {}
    for (way, _), group in groups.items():
        drawing = sampler.draw_beside if way == "batched" else sampler.draw_patched
        drawn = drawing(group, lambda step: None)
        latents.update({cell.index: own for cell, own in zip(group, drawn, strict=True)})
    return latents, {way for way, _ in groups}, reasons
