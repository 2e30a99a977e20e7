"""The demo's training moves pictures towards the style, and strength 0 takes it away again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora_kiln.tests.demo.drawing import sample

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "tests" / "workflows" / "train_and_sweep_demo.api.json"
PROMPTS = ("kilnprint, a star on a plain background", "kilnprint, a boat on the sea under the sun")
# Blue minus red, chosen before training (demo/style_statistic.py): the style's pictures have
# about 0.4. The training must bring at least this much of it.
LEAST_GAIN = 0.15


def _training_inputs() -> dict[str, Any]:
    from lora_kiln.trainer.config import TrainSettings

    prompt = json.loads(API.read_text("utf-8"))
    entry = next(e for e in prompt.values() if e["class_type"] == "KilnTrainLora")
    known = {field.name for field in dataclasses.fields(TrainSettings)}
    return {name: value for name, value in entry["inputs"].items() if name in known}


@pytest.mark.slow
@pytest.mark.usefixtures("comfy")
def test_the_style_comes_and_goes() -> None:
    import comfy.sd
    import comfy.utils

    from lora_kiln.dataset.scan import scan_folder
    from lora_kiln.demo.style_statistic import blueness
    from lora_kiln.host.demo_model import load_demo_model
    from lora_kiln.host.progress import ComfyProgress
    from lora_kiln.host.training import TrainRequest, train_in_comfy
    from lora_kiln.trainer.config import TrainSettings

    settings = TrainSettings(**{**_training_inputs(), "preview_every": 0})
    with torch.inference_mode():
        model, clip, vae = load_demo_model()
        before, base_latents = sample(model, clip, vae, PROMPTS)
        dataset = scan_folder(ROOT / "demo" / "style", name="style")
        outcome = train_in_comfy(
            TrainRequest(model=model, clip=clip, vae=vae, dataset=dataset, settings=settings),
            ComfyProgress(None),
        )
        tensors = comfy.utils.load_torch_file(str(outcome.result.lora.path), safe_load=True)
        with_lora, _ = comfy.sd.load_lora_for_models(model, clip, tensors, 1.0, 1.0)
        after, _ = sample(with_lora, clip, vae, PROMPTS)
        without, _ = comfy.sd.load_lora_for_models(model, clip, tensors, 0.0, 0.0)
        _, zero_latents = sample(without, clip, vae, PROMPTS)
    assert outcome.result.probe_end < outcome.result.probe_start
    assert blueness(after) - blueness(before) > LEAST_GAIN
    assert torch.equal(zero_latents, base_latents)


def test_the_statistic_tells_style_from_base() -> None:
    from PIL import Image

    from lora_kiln.demo.style_statistic import blueness

    style = Image.open(ROOT / "demo" / "style" / "01_circle.png").convert("RGB")
    red = Image.new("RGB", (64, 64), (214, 40, 40))
    pixels = [torch.from_numpy(np.asarray(p, dtype=np.float32) / 255)[None] for p in (style, red)]
    assert blueness(pixels[0]) > 0.2
    assert blueness(pixels[1]) < 0.0
