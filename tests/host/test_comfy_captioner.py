"""ComfyUI's own text generator describes pictures: the real Qwen3-VL classes, small and random."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from lora_kiln.core.errors import HostError
from lora_kiln.dataset.describe.describer import Ask
from lora_kiln.dataset.describe.settings import DescribeSettings
from lora_kiln.tests.host.caption_cases import ASK, noise, opened, pictures, refuse_connections
from lora_kiln.tests.host.conftest import Host


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_connections(monkeypatch)


@pytest.fixture
def models(comfy: Path) -> ModuleType:
    del comfy
    return importlib.import_module("lora_kiln.host.caption_models")


@pytest.fixture(scope="module")
def qwen(comfy: Path) -> Any:
    """ComfyUI's own Qwen3-VL, where the installed version has it."""
    del comfy
    pytest.importorskip("comfy.text_encoders.qwen3vl")
    return importlib.import_module("lora_kiln.tests.host.tiny_qwen_vl").make_qwen_vl()


def test_comfyuis_own_text_generator(qwen: Any, models: ModuleType, host: Host) -> None:
    textgen = importlib.import_module("comfy_extras.nodes_textgen").TextGenerate
    with torch.inference_mode(), opened("connected CLIP", host, qwen) as model:
        image = noise(3, (64, 64))
        pixels = torch.from_numpy(np.array(image)).float()[None] / 255
        stock = textgen.execute(qwen, "What?", 2, {"sampling_mode": "off"}, image=pixels).args[0]
        assert model.describe(image, replace(ASK, text="What?", max_tokens=2)).text == stock
        drawn = {
            "sampling_mode": "on", "temperature": 0.9, "top_k": 64, "top_p": 0.8, "min_p": 0.0,
            "repetition_penalty": 1.0, "seed": 7,
        }
        stock = textgen.execute(qwen, "What?", 2, drawn, image=pixels).args[0]
        asked = Ask(text="What?", seed=7, max_tokens=2, temperature=0.9, top_p=0.8)
        assert model.describe(image, asked).text == stock


def test_comfyuis_generator_describes_a_dataset(
    qwen: Any, models: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    sight = importlib.import_module("lora_kiln.dataset.describe.sight")
    monkeypatch.setattr(sight, "_PROBE_TOKENS", 2)
    settings = DescribeSettings(max_tokens=2, variable="thing", longest_side_px=64)
    with torch.inference_mode():
        made = models.describe(pictures(2), "connected CLIP", qwen, settings, host)
    words = [it.columns["thing"] for it in made.items]
    assert len(set(words)) == 2
    assert made.items[0].provenance["thing"]["finished"] is False


def test_a_text_encoder_without_eyes_is_refused(demo: Any, models: ModuleType, host: Host) -> None:
    with pytest.raises(HostError, match=r"takes no picture in this ComfyUI.*Qwen3-VL"):
        models.describe(pictures(1), "connected CLIP", demo.clip, DescribeSettings(), host)
    with pytest.raises(HostError, match="nothing is connected to clip"):
        models.describe(pictures(1), "connected CLIP", None, DescribeSettings(), host)


def test_an_older_comfyui_without_text_generation_is_told(
    demo: Any, models: ModuleType, host: Host
) -> None:
    class Old:
        """A CLIP of before there was ``generate``."""

        cond_stage_model, patcher = demo.clip.cond_stage_model, demo.clip.patcher

    with pytest.raises(HostError, match="cannot write text"):
        models.describe(pictures(1), "connected CLIP", Old(), DescribeSettings(), host)
