"""Previews are what the stock loader and KSampler draw with the checkpoint of the same step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Train = Callable[..., Any]
PROMPT = "a (red:1.2) boat at [sea]"


@pytest.fixture
def made(comfy: Path, request: pytest.FixtureRequest) -> Any:
    """MODEL, CLIP and VAE of a family, all random."""
    family = request.param
    demo = request.getfixturevalue("demo" if family == "sdxl" else "tiny_zimage_demo")
    if family == "z_image":
        return demo
    from lora_kiln.tests.host import tiny_sdxl

    return type(demo)(tiny_sdxl.make_model(), demo.clip, demo.vae)


@pytest.mark.parametrize("made", ["sdxl", "z_image"], indirect=True)
def test_previews_of_a_run(
    made: Any, train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.host.model import family_of
    from lora_kiln.tests.host.stock_preview import stock_latent, watched_previews, with_lora
    from lora_kiln.tests.host.stock_run import difference

    with watched_previews(monkeypatch) as drawn:
        train(
            of=made, steps=4, learning_rate=1e-2, preview_every=2, checkpoint_every=2,
            preview_prompts=PROMPT,
        )
    training = family_of(made.model).training
    assert training is not None
    usual = training.variants["base"].preview
    asked = {(r.sampler, r.scheduler, r.steps, r.cfg) for r in drawn.requests}
    assert asked == {(usual.sampler, usual.scheduler, usual.steps, usual.cfg)}
    assert len(drawn.latents) == 3
    folder = host.loras / "kiln"
    checkpoint = folder / "small-001" / "step_000002.safetensors"
    files = [None, checkpoint, folder / "small-001.safetensors"]
    worst, moved = 0.0, 1.0
    for index, (latent, request) in enumerate(zip(drawn.latents, drawn.requests, strict=True)):
        model, path = made.model, files[index]
        plain = stock_latent(model, made.clip, request)
        stock = plain if path is None else stock_latent(with_lora(model, path), made.clip, request)
        worst = max(worst, difference(latent, stock))
        if path is not None:
            moved = min(moved, difference(plain, stock))
    assert moved > 5e-3
    # Found: 7e-7. Merging into the weight and adding beside it round differently.
    assert worst < 2e-5
