"""A 5 x 4 grid against the 20 runs of stock nodes that draw the same pictures.

    python -m benchmarks.sweep_vs_stock [--rounds 3]

CPU seconds, alternating, medians. Ours includes its parity check and decoding; the stock side
loads the LoRA, encodes the prompts, samples and decodes for each cell, as 20 prompts would whose
checkpoint stays loaded.
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

STRENGTHS, SCALES = (0.0, 0.4, 0.8, 1.2, 1.6), (1.5, 3.0, 5.0, 8.0)
PROMPT, STEPS, SIDE_PX = "a red circle on a white background", 20, 128


def random_lora(model: Any, folder: Path) -> Path:
    """A LoRA of rank 8 on all targets, with random factors."""
    import torch

    from lora_kiln.core import atomic
    from lora_kiln.lora_format.family import families

    family = families()["sdxl"]
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    for path, module in model.model.diffusion_model.named_modules():
        if family.is_target(path):
            out, inside = module.weight.shape[:2]
            key = family.key_prefixes["unet"] + path.replace(".", "_")
            down = torch.randn(8, inside, generator=generator) * 0.05
            tensors[f"{key}.lora_down.weight"] = down
            up = torch.randn(out, 8, generator=generator) * 0.05
            tensors[f"{key}.lora_up.weight"] = up
            tensors[f"{key}.alpha"] = torch.tensor(8.0)
    target = folder / "random.safetensors"
    atomic.write_tensors(target, tensors)
    return target


def run_sweep(model: Any, clip: Any, vae: Any, path: Path) -> None:
    """The grid by LoRA Kiln, nothing of it stored before."""
    from lora_kiln.host.progress import ComfyProgress
    from lora_kiln.host.sweep_engine import make_runner
    from lora_kiln.sweep.axis import AxisValues
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.cells import plan_sweep

    base = CellSettings(prompt=PROMPT, steps=STEPS, width_px=SIDE_PX, height_px=SIDE_PX)
    plan = plan_sweep(base, [AxisValues("strength", STRENGTHS), AxisValues("cfg", SCALES)])
    with tempfile.TemporaryDirectory() as cache:
        runner = make_runner(
            model, clip, vae, {"": path}, ComfyProgress(None), cache=Path(cache)
        )
        runner.run(plan)
        assert len(runner.pictures) == len(plan.cells)


def run_stock(model: Any, clip: Any, vae: Any, path: Path) -> None:
    """The same pictures by the stock nodes' own functions, one after the other."""
    import comfy.sample
    import comfy.sd
    import comfy.utils
    import torch

    tensors = comfy.utils.load_torch_file(str(path), safe_load=True)
    for strength in STRENGTHS:
        for cfg in SCALES:
            patched, text = comfy.sd.load_lora_for_models(
                model, clip, tensors, strength, strength
            )
            conds = [
                text.encode_from_tokens_scheduled(text.tokenize(prompt)) for prompt in (PROMPT, "")
            ]
            empty = torch.zeros(1, 4, SIDE_PX // 8, SIDE_PX // 8)
            latent = comfy.sample.sample(
                patched, comfy.sample.prepare_noise(empty, 0), STEPS, cfg, "euler", "normal",
                *conds, empty, disable_pbar=True, seed=0,
            )
            vae.decode(latent)


def compare(rounds: int) -> dict[str, Any]:
    """Medians of both sides in one process, alternating after one unmeasured round."""
    load_pack()
    import_comfy()
    import torch

    from lora_kiln.host.demo_model import load_demo_model

    from .measure import cost

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model, clip, vae = load_demo_model()
        path = random_lora(model, Path(folder))
        sides = {"kiln": run_sweep, "stock": run_stock}
        found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for number in range(rounds + 1):
            for side, run in sides.items():
                measured = cost(partial(run, model, clip, vae, path))
                if number:
                    found[side].append(measured)
    cpu = {side: statistics.median(c for c, _ in runs) for side, runs in found.items()}
    wall = {side: statistics.median(w for _, w in runs) for side, runs in found.items()}
    return {
        "cells": len(STRENGTHS) * len(SCALES),
        "cpu_s": cpu,
        "wall_s": wall,
        "cpu_ratio": round(cpu["kiln"] / cpu["stock"], 3),
        "wall_ratio": round(wall["kiln"] / wall["stock"], 3),
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    print(json.dumps(compare(parser.parse_args().rounds), indent=2))


if __name__ == "__main__":
    main()
