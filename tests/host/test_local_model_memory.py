"""Where a model from models/LLM runs, in which precision, and what is told when it does not fit."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from lora_kiln.core.errors import HostError
from lora_kiln.tests.host import tiny_vlm
from lora_kiln.tests.host.caption_cases import ASK, noise
from lora_kiln.tests.host.conftest import Host


@pytest.fixture
def local(comfy: Path) -> ModuleType:
    del comfy
    return importlib.import_module("lora_kiln.host.captioners.local_model")


@pytest.fixture
def folder(local: ModuleType, tmp_path: Path) -> Any:
    tiny_vlm.save_llava(tmp_path / "small")
    return local.find_folder("LLM/small", [tmp_path])


def test_what_can_never_fit_runs_on_the_cpu_and_says_so(
    local: ModuleType, folder: Any, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    management = local.comfy.model_management
    monkeypatch.setattr(management, "text_encoder_device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(management, "get_total_memory", lambda device: 2**29)
    assert local._device_for(folder, host) == torch.device("cpu")
    assert host.said == ["LLM/small needs about 0 GiB and does not fit on the device: it runs on "
                         "the CPU, slowly"]
    monkeypatch.setattr(management, "get_total_memory", lambda device: 2**40)
    assert local._device_for(folder, host) == torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("config", "bf16", "fp16", "wanted"),
    [
        (SimpleNamespace(dtype=torch.bfloat16), True, True, torch.bfloat16),
        # Not fp16 in its place, where it would overflow.
        (SimpleNamespace(dtype=torch.bfloat16), False, True, torch.float32),
        (SimpleNamespace(dtype="float16"), True, True, torch.float16),
        (SimpleNamespace(dtype=torch.float16), True, False, torch.float32),
        (SimpleNamespace(torch_dtype=torch.float16), True, True, torch.float16),
        (SimpleNamespace(dtype=None, text_config=SimpleNamespace(dtype="bfloat16")), True, True,
         torch.bfloat16),
        (SimpleNamespace(dtype="auto"), True, True, torch.float32),
        (SimpleNamespace(), True, True, torch.float32),
    ],
)
def test_precision_is_the_published_one_where_the_device_has_it(
    local: ModuleType, monkeypatch: pytest.MonkeyPatch, config: Any, bf16: bool, fp16: bool,
    wanted: torch.dtype,
) -> None:
    management = local.comfy.model_management
    monkeypatch.setattr(management, "should_use_bf16", lambda device: bf16)
    monkeypatch.setattr(management, "should_use_fp16", lambda device: fp16)
    assert local._dtype_for(config, torch.device("cpu")) == wanted


def test_a_model_in_half_precision_answers(
    local: ModuleType, folder: Any, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": "bfloat16"}))
    monkeypatch.setattr(local.comfy.model_management, "should_use_bf16", lambda device: True)
    describer = local.LocalDescriber(folder, host)
    assert describer.describe(noise(0), ASK).text
    assert next(describer._patcher.model.parameters()).dtype == torch.bfloat16
    describer.close()


def test_too_little_memory_is_told(
    local: ModuleType, folder: Any, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*values: Any, **options: Any) -> Any:
        raise local.OUT_OF_MEMORY("CUDA out of memory")

    describer = local.LocalDescriber(folder, host)
    monkeypatch.setattr(local.comfy.model_management, "load_models_gpu", full)
    with pytest.raises(HostError, match=r"not enough memory.*for LLM/small.*longest_side_px"):
        describer.describe(noise(0), ASK)
    describer.close()
