"""The embedded default is a real SDXL in small, and core can reload it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def test_the_weights_are_small() -> None:
    files = list((ROOT / "demo" / "weights").glob("*"))
    assert {file.name for file in files} == {"unet.safetensors", "vae.safetensors"}
    assert sum(file.stat().st_size for file in files) <= 20_000_000


@pytest.fixture(scope="module")
def demo(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    request.getfixturevalue("comfy")
    from lora_kiln.host.demo_model import load_demo_model

    with torch.inference_mode():
        return load_demo_model()


def test_it_is_an_sdxl(demo: tuple[Any, Any, Any]) -> None:
    import comfy.model_base
    import comfy.sd

    model, clip, vae = demo
    assert type(model.model) is comfy.model_base.SDXL
    assert isinstance(clip, comfy.sd.CLIP)
    assert isinstance(vae, comfy.sd.VAE)
    assert model.model.model_type.name == "EPS"


def test_core_reloads_bit_for_bit(demo: tuple[Any, Any, Any]) -> None:
    model = demo[0]
    again = model.clone(force_deepcopy=True)
    assert again.model is not model.model
    before, after = (m.model.state_dict() for m in (model, again))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_text_encoders_come_from_their_seed(demo: tuple[Any, Any, Any]) -> None:
    from lora_kiln.host.demo_model import load_clip_patcher

    again = load_clip_patcher()
    first = demo[1].patcher.model.state_dict()
    second = again.model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_vae_restores_a_picture(demo: tuple[Any, Any, Any]) -> None:
    import numpy as np

    from lora_kiln.demo.draw import draw_any

    vae = demo[2]
    from random import Random

    errors = []
    for seed in range(4):
        picture, _ = draw_any(128, 128, Random(seed))
        pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]
        with torch.inference_mode():
            restored = vae.decode(vae.encode(pixels))
        errors.append(float((restored - pixels).abs().mean()))
    assert max(errors) < 0.08


def test_core_reloads_text_encoders_and_vae_too(demo: tuple[Any, Any, Any]) -> None:
    for patcher in (demo[1].patcher, demo[2].patcher):
        again = patcher.clone(force_deepcopy=True)
        assert again.model is not patcher.model
        before, after = patcher.model.state_dict(), again.model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_it_has_its_weights_where_the_host_fills_layers_late(
    demo: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NVIDIA cards, where ComfyUI manages memory dynamically by default."""
    import comfy.memory_management
    import comfy.utils
    from safetensors.torch import load_file

    from lora_kiln.host.demo_model import load_demo_model

    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True, raising=False)
    # Its own reader needs a card; what matters here is how layers are made and filled.
    monkeypatch.setattr(
        comfy.utils, "load_safetensors", lambda path: (load_file(path), {}), raising=False
    )
    with torch.inference_mode():
        late = load_demo_model()
    assert comfy.memory_management.aimdo_enabled is True
    pairs = zip(
        (demo[0].model, demo[1].patcher.model, demo[2].patcher.model),
        (late[0].model, late[1].patcher.model, late[2].patcher.model),
        strict=True,
    )
    for usual, filled in pairs:
        before, after = usual.state_dict(), filled.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
