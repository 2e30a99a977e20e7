"""Sweeps against ComfyUI's own loop of Load LoRA, text, KSampler and decoding, in one process.

    python -m benchmarks.sweep_vs_stock [--rounds 3] [--full-size]

CPU seconds (wall seconds on an accelerator), alternating, medians. Ours includes its parity check,
decoding and storing; the stock side does for each cell what its nodes do, with what their caches
would keep: the LoRA's tensors, and patched model and texts as long as LoRA and strength stay.
``--full-size`` takes random-weight SDXL at 1024 x 1024, for a card.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from devtools.comfy_import import import_comfy
from devtools.load_pack import load_pack

from .sweep_grids import FULL_SIDE_PX, GRIDS, PROMPT, SIDE_PX, STEPS, Grid, plan_of, write_loras


def run_sweep(wires: Any, files: dict[str, Path], grid: Grid, side_px: int) -> dict[str, Any]:
    """The grid by LoRA Kiln, nothing of it stored before."""
    from lora_kiln.host.progress import ComfyProgress
    from lora_kiln.host.sweep_engine import make_runner

    plan = plan_of(grid, side_px)
    with tempfile.TemporaryDirectory() as cache:
        model, clip, vae = wires
        runner = make_runner(model, clip, vae, files, ComfyProgress(None), cache=Path(cache))
        runner.run(plan)
        assert len(runner.pictures) == len(plan.cells)
    modes = sorted({outcome.mode for outcome in runner.outcomes.values()})
    return {"modes": modes, "largest_batch": max(o.batch for o in runner.outcomes.values())}


def run_stock(wires: Any, files: dict[str, Path], grid: Grid, side_px: int) -> dict[str, Any]:
    """The same pictures by the stock nodes' own functions, one after the other."""
    import comfy.sample
    import comfy.sd
    import comfy.utils

    model, clip, vae = wires
    tensors: dict[str, Any] = {}
    kept: tuple[Any, Any, Any] | None = None
    for name, strength, cfg in grid.cells():
        if name not in tensors:
            tensors = {name: comfy.utils.load_torch_file(str(files[name]), safe_load=True)}
        if kept is None or kept[0] != (name, strength):
            patched, text = (
                comfy.sd.load_lora_for_models(model, clip, tensors[name], strength, strength)
                if strength else (model, clip)
            )  # fmt: skip
            conds = [
                text.encode_from_tokens_scheduled(text.tokenize(prompt)) for prompt in (PROMPT, "")
            ]
            kept = ((name, strength), patched, conds)
        empty = _empty_latent(side_px)
        latent = comfy.sample.sample(
            kept[1], comfy.sample.prepare_noise(empty, 0), STEPS, cfg, "euler", "normal",
            *kept[2], empty, disable_pbar=True, seed=0,
        )
        vae.decode(latent)
    return {}


def _empty_latent(side_px: int) -> Any:
    import torch

    return torch.zeros(1, 4, side_px // 8, side_px // 8)


def load_wires(full_size: bool) -> Any:
    """MODEL, CLIP and VAE: the demo's, or random weights at SDXL's size with the demo's texts."""
    from lora_kiln.host.demo_model import load_demo_model

    if not full_size:
        return load_demo_model()
    from .full_size_sdxl import load_full_size

    return load_full_size()


def compare(rounds: int, *, full_size: bool = False) -> dict[str, Any]:
    """Medians of both sides in one process, alternating after one unmeasured round."""
    load_pack()
    import_comfy()
    import torch

    from .measure import cost, current_mib, peak_mib, reset_peak

    found: dict[str, Any] = {}
    side_px = FULL_SIDE_PX if full_size else SIDE_PX
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        wires = load_wires(full_size)
        for title, grid in GRIDS.items():
            files = write_loras(wires[0], Path(folder), grid)
            sides = {"kiln": run_sweep, "stock": run_stock}
            runs: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
            told: dict[str, Any] = {}
            for number in range(rounds + 1):
                for side, run in sides.items():
                    reset_peak()
                    before = current_mib()
                    work = partial(_kept, told, run, wires, files, grid, side_px)
                    measured = cost(work)
                    told[f"{side}_added_peak_mib"] = round(peak_mib() - before, 1)
                    if number:
                        runs[side].append(measured)
            found[title] = {"cells": len(grid.cells()), **_medians(runs), **told}
    return found


def _kept(told: dict[str, Any], run: Any, *args: Any) -> None:
    told.update(run(*args))


def _medians(runs: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    cpu = {side: round(statistics.median(c for c, _ in own), 2) for side, own in runs.items()}
    wall = {side: round(statistics.median(w for _, w in own), 2) for side, own in runs.items()}
    return {
        "cpu_s": cpu,
        "wall_s": wall,
        "cpu_ratio": round(cpu["kiln"] / cpu["stock"], 3),
        "wall_ratio": round(wall["kiln"] / wall["stock"], 3),
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full-size", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(compare(arguments.rounds, full_size=arguments.full_size), indent=2))


if __name__ == "__main__":
    main()
