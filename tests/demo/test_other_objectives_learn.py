"""The demo model made a v-prediction model with zero terminal SNR, and trained as one; and fp16.

There is no second demo model in this repository. A LoRA over all layers turns the one there is
from noise to v-prediction in some hundred steps, which is a training of its own; on the result a
style is trained as on any v-prediction checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lora_kiln.tests.demo.drawing import drawn_dataset, sample, with_file

ROOT = Path(__file__).resolve().parents[2]
SCENES = ("a red star on a plain background", "a white house with a red roof under the sun")
STYLED = ("kilnprint, a star on a plain background", "kilnprint, a boat on the sea under the sun")
LEAST_GAIN = 0.15
"""Of blueness, as for the noise-prediction model (``test_demo_learns``)."""


def _train(
    model: Any, clip: Any, vae: Any, dataset: Any, adapter: Any = None, **values: Any
) -> Any:
    from lora_kiln.host.progress import ComfyProgress
    from lora_kiln.host.training import TrainRequest, train_in_comfy
    from lora_kiln.trainer.adapter_settings import AdapterSettings
    from lora_kiln.trainer.config import TrainSettings

    plain = {"resolution": 128, "preview_every": 0, "checkpoint_every": 0, "warmup_steps": 10,
             "schedule": "cosine", "seed": 1}
    settings = TrainSettings(**{**plain, **values})
    request = TrainRequest(
        model=model, clip=clip, vae=vae, dataset=dataset, settings=settings,
        adapter=adapter or AdapterSettings(),
    )
    return train_in_comfy(request, ComfyProgress(None))


@pytest.mark.slow
@pytest.mark.usefixtures("comfy")
def test_v_prediction_with_zero_terminal_snr_learns_and_draws() -> None:
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    from lora_kiln.dataset.scan import scan_folder
    from lora_kiln.demo.style_statistic import blueness
    from lora_kiln.host.demo_model import load_demo_model
    from lora_kiln.trainer.adapter_settings import AdapterSettings

    with torch.inference_mode():
        model, clip, vae = load_demo_model()
        (wrong,) = ModelSamplingDiscrete().patch(model, "v_prediction", True)
        told = _train(
            wrong, clip, vae, drawn_dataset(200), AdapterSettings(targets="conv"),
            run_name="v_variant", steps=250, learning_rate=2e-3, rank=48, batch_size=8,
        )
        assert told.result.probe_end < 0.35 * told.result.probe_start
        variant = with_file(wrong, told.result.lora)
        grey, _ = sample(wrong, clip, vae, SCENES, "sgm_uniform", "euler")
        clear, _ = sample(variant, clip, vae, SCENES, "sgm_uniform", "euler")
        # Noise taken for v leaves pictures without contrast; real v-prediction does not.
        assert float(clear.std()) > 1.3 * float(grey.std())

        style = scan_folder(ROOT / "demo" / "style", name="style")
        outcome = _train(
            variant, clip, vae, style, run_name="v_style", steps=150, learning_rate=1e-3, rank=8,
            batch_size=4,
        )
        assert outcome.result.probe_end < outcome.result.probe_start
        before, _ = sample(variant, clip, vae, STYLED, "sgm_uniform", "euler")
        after, _ = sample(
            with_file(variant, outcome.result.lora), clip, vae, STYLED, "sgm_uniform", "euler"
        )
    assert blueness(after) - blueness(before) > LEAST_GAIN


@pytest.mark.slow
@pytest.mark.usefixtures("comfy")
def test_fp16_with_loss_scaling_learns_what_fp32_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU people are told to take fp32; the arithmetic is the same as on a card."""
    from lora_kiln.dataset.scan import scan_folder
    from lora_kiln.host import training
    from lora_kiln.host.demo_model import load_demo_model

    monkeypatch.setattr(training, "require_precision", lambda *_: None)
    style = scan_folder(ROOT / "demo" / "style", name="style")
    found = {}
    for precision in ("fp32", "fp16"):
        with torch.inference_mode():
            outcome = _train(
                *load_demo_model(), style, run_name=f"demo_{precision}", steps=60,
                learning_rate=1e-3, rank=8, batch_size=4, precision=precision,
            )
        found[precision] = outcome.result
    scales = {entry["loss_scale"] for entry in found["fp16"].metrics}
    assert min(scales) > 1
    assert found["fp16"].probe_end < found["fp16"].probe_start
    assert found["fp16"].probe_end == pytest.approx(found["fp32"].probe_end, rel=0.02)
