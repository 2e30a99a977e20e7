"""A training step of LoRA Kiln against ComfyUI's own TrainLoraNode, on the model kiln-medium.

    python -m benchmarks.train_step [--rounds 5] [--steps 4]

Each side runs in a process of its own, alternating; figures are medians. A step's cost is the
difference between a long and a short run over the difference in steps, so set-up is left out.
Memory is the peak over the loaded, idle model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from devtools.comfy_import import import_comfy
from devtools.load_pack import load_pack

RANK = 16
SIDES = ("kiln", "core_default", "core_best")
CORE = {
    "core_default": {"gradient_checkpointing": True, "bypass_mode": False},
    "core_best": {"gradient_checkpointing": False, "bypass_mode": True},
}


def run_kiln(model: Any, steps: int) -> None:
    """Our trainer's own loop over one picture, without files and previews."""
    import torch

    from lora_kiln.core.attach import Attachment
    from lora_kiln.core.protocols import ImageGeometry, TextEmbedding
    from lora_kiln.dataset.prepare import TrainingItem
    from lora_kiln.host.model import ComfyDenoiser, family_of
    from lora_kiln.trainer.adapter import LoraAdapter
    from lora_kiln.trainer.adapter_settings import AdapterSettings
    from lora_kiln.trainer.batches import Sample
    from lora_kiln.trainer.config import TrainSettings
    from lora_kiln.trainer.frozen import attach_frozen
    from lora_kiln.trainer.objective_settings import ObjectiveSettings
    from lora_kiln.trainer.parts import choose_parts
    from lora_kiln.trainer.recipe import make_recipe
    from lora_kiln.trainer.schedule import make_optimizer
    from lora_kiln.trainer.step import StepRunner
    from lora_kiln.trainer.views import make_views

    from .medium_model import LATENT_SIDE, made_inputs

    latent, text, pooled = made_inputs()
    side = LATENT_SIDE * 8
    geometry = ImageGeometry(
        original_width_px=side, original_height_px=side, crop_left_px=0, crop_top_px=0,
        target_width_px=side, target_height_px=side,
    )
    embedding = TextEmbedding(text, pooled, {})
    item = TrainingItem("one", latent[0], geometry, embedding, "", 1.0)
    with torch.inference_mode(False), torch.enable_grad(), Attachment() as beside:
        denoiser = ComfyDenoiser(model, "fp32")
        family = family_of(model)
        parts = choose_parts(
            denoiser.modules(), family, AdapterSettings(), rank=RANK, alpha=RANK
        )
        adapter = LoraAdapter(parts, denoiser.weights, seed=0, device=denoiser.device)
        adapter.attach(beside)
        settings = TrainSettings(run_name="benchmark", learning_rate=5e-4)
        optimizer = make_optimizer(adapter.groups(), settings)
        runner = StepRunner(
            denoiser=denoiser,
            recipe=make_recipe(
                ObjectiveSettings(), denoiser.sampling, family.training.variants["base"], 2
            ),
            views=make_views(denoiser, [item]),
            seed=0,
            microbatch_limit=1,
        )
        targeted = {id(part.module) for part in parts.values()}
        others = [m for m in denoiser.modules().values() if id(m) not in targeted]
        with denoiser.loaded(0.0), Attachment() as attachment:
            attach_frozen(attachment, others, denoiser.weights)
            for step in range(steps):
                runner.backward([[Sample(0, 0)]], step, 1.0, lambda: None)
                torch.nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)


def run_core(model: Any, steps: int, side: str) -> None:
    """ComfyUI's TrainLoraNode, called as its graph would call it."""
    from comfy_extras.nodes_train import TrainLoraNode

    from .medium_model import made_inputs

    latent, text, pooled = made_inputs()
    side_px = latent.shape[-1] * 8
    cond = [[text, {"pooled_output": pooled, "width": side_px, "height": side_px}]]
    values: dict[str, Any] = {
        "batch_size": 1, "steps": steps, "grad_accumulation_steps": 1, "learning_rate": 5e-4,
        "rank": RANK, "optimizer": "AdamW", "loss_function": "MSE", "seed": 0,
        "training_dtype": "fp32", "lora_dtype": "fp32", "quantized_backward": False,
        "algorithm": "LoRA", "checkpoint_depth": 1, "offloading": False,
        "existing_lora": "[None]", "bucket_mode": False, **CORE[side],
    }
    lists = {name: [value] for name, value in values.items()}
    TrainLoraNode.execute(
        model=[model], latents=[{"samples": latent}], positive=[cond], **lists
    )


def measure_side(side: str, steps: int) -> dict[str, float]:
    """Cost of a step and added memory, in this process."""
    load_pack()
    import_comfy()
    import torch

    from .measure import cost, current_mib, peak_mib, reset_peak
    from .medium_model import load_medium

    with torch.inference_mode():
        model = load_medium()

        def work(count: int) -> None:
            run_kiln(model, count) if side == "kiln" else run_core(model, count, side)

        idle = current_mib()
        reset_peak()
        work(2)  # Its time is not measured: memory is touched for the first time.
        added = peak_mib() - idle
        short_cpu, short_wall = cost(lambda: work(2))
        long_cpu, long_wall = cost(lambda: work(2 + steps))
    return {
        "cpu_s_per_step": (long_cpu - short_cpu) / steps,
        "wall_s_per_step": (long_wall - short_wall) / steps,
        "added_peak_mib": added,
    }


def compare(rounds: int, steps: int) -> dict[str, Any]:
    """All sides, alternating, each time in a new process; medians and ratios."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            command = [sys.executable, "-m", "benchmarks.train_step", "--side", side]
            answer = subprocess.run(
                [*command, "--steps", str(steps)], check=True, capture_output=True, text=True,
                cwd=Path(__file__).resolve().parent.parent,
            )
            found[side].append(json.loads(answer.stdout.splitlines()[-1]))
    medians = {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for side, runs in found.items()
    }
    ours = medians["kiln"]
    ratios = {
        f"kiln/{side}": {key: round(ours[key] / medians[side][key], 3) for key in ours}
        for side in SIDES[1:]
    }
    return {"model": "kiln-medium", "rank": RANK, "medians": medians, "ratios": ratios}


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process")
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure_side(arguments.side, arguments.steps)))
    else:
        print(json.dumps(compare(arguments.rounds, arguments.steps), indent=2))


if __name__ == "__main__":
    main()
