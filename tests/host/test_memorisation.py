"""A LoRA overfit on one picture is flagged, a healthy one is not: both trained here, for real."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_kiln.tests.sweep.score_cases import make_plan, save_sweep

STYLE = Path(__file__).resolve().parents[2] / "demo" / "style"
COPIED = "02_star.png"
STAR = "kilnprint, a star on a plain background"
PROMPTS = (STAR, "kilnprint, a circle on a plain background", "kilnprint, a boat on the sea")
SEED = int(os.environ.get("KILN_TEST_SEED", "1"))
# Both at the learning rate of the demo's workflow. Seeds 1, 2 and 3: every cell of the overfit
# LoRA with the caption reached .41 to .76, all others of both LoRAs stayed below .08.
OVERFIT = {"steps": 350, "rank": 32, "batch_size": 4}
HEALTHY = {"steps": 250, "rank": 8, "batch_size": 4}


def sweep_of(demo: Any, lora: Any, folder: Path) -> Any:
    """Strength 0 and 1 by three prompts and three seeds, by the stock loader and sampler."""
    import comfy.sd
    import comfy.utils

    from lora_kiln.core.protocols import SampleRequest
    from lora_kiln.host.preview import ComfySampler
    from lora_kiln.host.vae import ComfyVae

    plan = make_plan(
        (0.0, 1.0), seeds=(5, 6, 7), prompts=PROMPTS, cfg=4.0, steps=16, sampler="dpmpp_2m",
        scheduler="karras", width_px=128, height_px=128,
    )
    tensors = comfy.utils.load_torch_file(str(lora.path), safe_load=True)
    pictures = {}
    for strength in (0.0, 1.0):
        model, clip = comfy.sd.load_lora_for_models(
            demo.model, demo.clip, tensors, strength, strength
        )
        sampler = ComfySampler(model, clip, ComfyVae(demo.vae, model))
        for cell in plan.cells:
            own = cell.settings
            if own.strength == strength:
                (pictures[cell.index],) = sampler.draw(
                    [
                        SampleRequest(
                            prompt=own.prompt, negative="", seed=own.seed, steps=own.steps,
                            cfg=own.cfg, sampler=own.sampler, scheduler=own.scheduler,
                            width_px=own.width_px, height_px=own.height_px,
                        )
                    ]
                )
    return save_sweep(folder, plan, pictures)


@pytest.mark.slow
def test_overfit_is_flagged_and_healthy_is_not(
    demo: Any, train: Callable[..., Any], host: Any, tmp_path: Path
) -> None:
    from lora_kiln.dataset.scan import scan_folder
    from lora_kiln.host.scoring import ScoreRequest, score_sweep

    style = scan_folder(STYLE, name="style")
    one = replace(style, items=tuple(item for item in style.items if item.name == COPIED))
    common = {
        "learning_rate": 1e-3, "resolution": 128, "seed": SEED, "checkpoint_every": 1000,
    }
    overfit = train(dataset=one, run_name="overfit", **common, **OVERFIT).result.lora
    healthy = train(dataset=style, run_name="healthy", **common, **HEALTHY).result.lora
    with torch.inference_mode():
        swept = {
            "overfit": sweep_of(demo, overfit, tmp_path / "overfit"),
            "healthy": sweep_of(demo, healthy, tmp_path / "healthy"),
        }

    def memorised(which: str, dataset: Any) -> Any:
        scored = score_sweep(ScoreRequest(sweep=swept[which], dataset=dataset), host)
        return scored, scored.found["memorisation"]

    for dataset in (style, one):
        scored, found = memorised("overfit", dataset)
        plan = scored.given.plan
        stars = [i for i in found.values if plan.cells[i].settings.prompt == STAR]
        assert len(stars) == 3
        flagged = [i for i in stars if found.details["flag"][i] == "copy"]
        assert len(flagged) >= 2, found.values
        assert {found.details["picture"][i] for i in flagged} == {COPIED}
        # What was not memorised is not flagged.
        others = set(found.values) - set(stars)
        assert not any(found.details["flag"][i] for i in others)
        assert any("look copied" in note and COPIED in note for note in scored.notes)
        assert scored.choice.shortlist == ()
    scored, found = memorised("healthy", style)
    assert not any(found.details["flag"].values())
    assert max(found.values.values()) < 0.2, found.values
    assert scored.choice.shortlist
