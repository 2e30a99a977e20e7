"""Axes in whole sweeps: a cell shows what a sweep of just these settings shows."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SETTINGS: dict[str, Any] = {
    "prompt": "a star over the sea", "negative": "", "seed": 3, "steps": 2, "cfg": 4.0,
    "strength": 1.0, "sampler": "euler", "scheduler": "normal", "width_px": 64, "height_px": 64,
    "mode": "auto", "file_prefix": "axes",
}
TWO = ("axis one.safetensors", "axis two.safetensors")


@pytest.fixture(scope="module")
def wires(comfy: Path) -> dict[str, Any]:
    """MODEL, CLIP and VAE, with two LoRAs of unequal rank in the stock loader's folder."""
    from lora_kiln.host import demo_model
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        model, clip, vae = tiny_sdxl.make_model(), tiny_sdxl.make_clip(), demo_model._make_vae()
    for rank, name in zip((4, 7), TWO, strict=True):
        tiny_sdxl.write_lora(comfy, name, tiny_sdxl.lora_tensors(model, rank=rank, seed=rank))
    return {"model": model, "clip": clip, "vae": vae}


def axis(name: str, values: str) -> Any:
    nodes = importlib.import_module("lora_kiln.nodes.axes")
    own = next(node for node in nodes.NODES if node.__name__ == f"KilnAxis{name}")
    return own.PREPARE_CLASS_CLONE({"hidden_inputs": {}}).execute(values=values).args[0]


def sweep(wires: dict[str, Any], rows: Any = None, columns: Any = None, **changed: Any) -> Any:
    module = importlib.import_module("lora_kiln.nodes.sweep")
    clone = module.KilnSweep.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    inputs = {**wires, **SETTINGS, "lora_name": TWO[0], **changed}
    with torch.inference_mode():
        return clone.execute(**inputs, axis_1=rows, axis_2=columns).args[2]


def pictures(result: Any) -> dict[tuple[str, ...], np.ndarray]:
    """By the labels of row and column, and of the page where there are several."""
    plan, found = result.plan, {}
    for cell in plan.cells:
        labels = plan.row_labels[cell.row], plan.column_labels[cell.column]
        page = [own for own in (plan.page_labels[cell.page],) if own]
        key = (*labels, *page)
        found[key] = np.asarray(result.pictures[cell.index], dtype=np.int16)
    return found


def same(one: np.ndarray, two: np.ndarray) -> bool:
    """To rounding: one step of 255."""
    return int(np.abs(one - two).max()) <= 1


def test_loras_side_by_side_are_what_each_is_alone(wires: dict[str, Any]) -> None:
    drawn = pictures(sweep(wires, axis("Checkpoint", "axis one, axis two"), axis("Seed", "3, 4")))
    assert list(drawn) == [
        (row, column) for row in ("no LoRA", "axis one", "axis two")
        for column in ("seed 3", "seed 4")
    ]
    alone = pictures(sweep(wires, axis("Seed", "4"), lora_name=TWO[1]))
    assert same(drawn["axis two", "seed 4"], alone["seed 4", "strength 1"])
    assert same(drawn["no LoRA", "seed 4"], alone["seed 4", "strength 0"])
    assert not same(drawn["axis one", "seed 4"], drawn["axis two", "seed 4"])
    assert not same(drawn["no LoRA", "seed 3"], drawn["axis one", "seed 3"])


def test_a_mask_leaves_out_what_it_says(wires: dict[str, Any]) -> None:
    drawn = pictures(sweep(wires, axis("Blocks", "all\nnot *\n*=0.5\nonly mid"), axis("Cfg", "4")))
    half = pictures(sweep(wires, axis("Strength", "0.5, 1"), axis("Cfg", "4")))
    assert same(drawn["all blocks", "CFG 4"], half["strength 1", "CFG 4"])
    assert same(drawn["*=0.5", "CFG 4"], half["strength 0.5", "CFG 4"])
    assert same(drawn["not *", "CFG 4"], drawn["no LoRA", "CFG 4"])
    for other in ("all blocks", "no LoRA"):
        assert not same(drawn["only mid", "CFG 4"], drawn[other, "CFG 4"])


def test_words_samplers_and_steps_reach_the_picture(wires: dict[str, Any]) -> None:
    samplers = axis("Sampler", "euler, heun")
    chosen = (*axis("Replace", "star, moon"), *axis("Strength", "0"), *samplers)
    drawn = pictures(sweep(wires, chosen))
    alone = pictures(sweep(
        wires, (*axis("Steps", "2, 3"), *axis("Strength", "0")), prompt="a moon over the sea",
        sampler="heun",
    ))
    assert same(drawn["moon", "strength 0", "heun"], alone["2 steps", "strength 0"])
    assert not same(drawn["star", "strength 0", "heun"], drawn["moon", "strength 0", "heun"])
    assert not same(drawn["moon", "strength 0", "euler"], drawn["moon", "strength 0", "heun"])
    assert not same(alone["2 steps", "strength 0"], alone["3 steps", "strength 0"])
