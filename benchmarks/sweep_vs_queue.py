"""Sweeps against the same cells queued as stock nodes, one prompt each, in a real server.

    python -m benchmarks.sweep_vs_queue

CPU seconds of the server process (Linux), one warm-up prompt before each side. The stock prompts
come in the order in which ComfyUI's own caches help most: LoRA, then strength, then CFG. Both
sides write their pictures.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from devtools.comfy_import import import_comfy
from devtools.comfy_server import ComfyServer
from devtools.load_pack import load_pack

from .sweep_grids import GRIDS, PROMPT, SIDE_PX, STEPS, Grid, write_loras

TIMEOUT_S = 900


def stock_prompt(name: str, strength: float, cfg: float, seed: int) -> dict[str, Any]:
    """Load LoRA, texts, KSampler, decode, save."""
    return {
        "model": {"class_type": "KilnDemoModel", "inputs": {}},
        "lora": {"class_type": "LoraLoader", "inputs": {
            "model": ["model", 0], "clip": ["model", 1], "lora_name": name,
            "strength_model": strength, "strength_clip": strength}},
        "positive": {"class_type": "CLIPTextEncode", "inputs": {
            "clip": ["lora", 1], "text": PROMPT}},
        "negative": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["lora", 1], "text": ""}},
        "empty": {"class_type": "EmptyLatentImage", "inputs": {
            "width": SIDE_PX, "height": SIDE_PX, "batch_size": 1}},
        "sample": {"class_type": "KSampler", "inputs": {
            "model": ["lora", 0], "positive": ["positive", 0], "negative": ["negative", 0],
            "latent_image": ["empty", 0], "seed": seed, "steps": STEPS, "cfg": cfg,
            "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}},
        "decode": {"class_type": "VAEDecode", "inputs": {
            "samples": ["sample", 0], "vae": ["model", 2]}},
        "save": {"class_type": "SaveImage", "inputs": {
            "images": ["decode", 0], "filename_prefix": "stock"}},
    }  # fmt: skip


def sweep_prompt(grid: Grid, seed: int) -> dict[str, Any]:
    """The grid as one Sweep node."""
    def numbers(values: tuple[float, ...]) -> str:
        return ", ".join(f"{value:g}" for value in values)

    prompt: dict[str, Any] = {
        "model": {"class_type": "KilnDemoModel", "inputs": {}},
        "strength": {"class_type": "KilnAxisStrength", "inputs": {
            "values": numbers(grid.strengths)}},
        "cfg": {"class_type": "KilnAxisCfg", "inputs": {"values": numbers(grid.scales)}},
        "sweep": {"class_type": "KilnSweep", "inputs": {
            "model": ["model", 0], "clip": ["model", 1], "vae": ["model", 2],
            "lora_name": grid.names()[0], "prompt": PROMPT, "negative": "", "seed": seed,
            "steps": STEPS, "cfg": grid.scales[0], "strength": 1.0, "sampler": "euler",
            "scheduler": "normal", "width_px": SIDE_PX, "height_px": SIDE_PX, "mode": "auto",
            "file_prefix": "bench", "diff_view": False, "strip_axis": "none",
            "axis_1": ["strength", 0], "axis_2": ["cfg", 0]}},
    }  # fmt: skip
    if grid.loras > 1:
        prompt["names"] = {"class_type": "KilnAxisCheckpoint", "inputs": {
            "values": "\n".join(grid.names())}}  # fmt: skip
        prompt["sweep"]["inputs"]["axis_2"] = ["names", 0]
    return prompt


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(server: ComfyServer, prompts: list[dict[str, Any]]) -> dict[str, float]:
    """CPU and wall seconds of prompts queued one after the other."""
    client = server.client()
    before, started = cpu_s(server.pid), time.perf_counter()
    for prompt in prompts:
        client.run(prompt, timeout_s=TIMEOUT_S)
    return {
        "cpu_s": round(cpu_s(server.pid) - before, 2),
        "wall_s": round(time.perf_counter() - started, 2),
    }


def compare() -> dict[str, Any]:
    """Both grids, once each."""
    load_pack()
    import_comfy()
    from lora_kiln.host.demo_model import load_demo_model

    model = load_demo_model()[0]
    found: dict[str, Any] = {}
    with ComfyServer() as server:
        for number, (title, grid) in enumerate(GRIDS.items()):
            write_loras(model, server.base / "models" / "loras", grid)
            cells = grid.cells()
            measure(server, [stock_prompt(*cells[-1], seed=number + 100)])
            sides = {
                "stock": measure(server, [stock_prompt(*c, seed=number) for c in cells]),
                "kiln": measure(server, [sweep_prompt(grid, seed=number)]),
            }
            ratio = round(sides["kiln"]["cpu_s"] / sides["stock"]["cpu_s"], 3)
            found[title] = {"cells": len(cells), **sides, "cpu_ratio": ratio}
    return found


def main() -> None:
    """Measure, and print JSON."""
    print(json.dumps(compare(), indent=2))


if __name__ == "__main__":
    main()
