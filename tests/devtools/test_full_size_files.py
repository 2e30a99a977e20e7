"""What the full-size test writes is what the published checkpoints hold, shape by shape."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from torch import nn

from lora_kiln.devtools.full_size import files, plans
from lora_kiln.lora_format.family import families

WEIGHTS = {"sdxl": 2_567_463_684, "z_image": 6_154_908_736}
"""As published."""


@pytest.mark.parametrize("family", sorted(plans.PLANS))
def test_the_network_is_the_published_one(comfy: Path, family: str) -> None:
    from lora_kiln.host.base import module_shapes

    network = files.network_of(family)
    assert module_shapes(network) == families()[family].network.shapes()
    assert sum(tensor.numel() for tensor in network.parameters()) == WEIGHTS[family]


@pytest.mark.parametrize("family", sorted(plans.PLANS))
def test_the_presets_have_the_modules_that_are_expected(family: str) -> None:
    training = families()[family].training
    assert training is not None
    shapes, plan = families()[family].network.shapes(), plans.PLANS[family]
    assert training.preset in plan.presets
    found = {
        preset: sum(training.is_target(path, preset) for path in shapes) for preset in plan.presets
    }
    assert found == plan.presets


def test_a_file_is_written_and_can_be_read(
    comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.devtools.full_size.matching import differing_weights

    with torch.device("meta"):
        small = _network()
    monkeypatch.setattr(files, "network_of", lambda family: small)
    path, plan = tmp_path / "random.safetensors", plans.PLANS["sdxl"]
    assert files.write_random(path, plan) == sum(p.numel() for p in small.parameters())
    with safe_open(path, framework="pt") as file:
        read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert set(read) == {plan.key_prefix + name for name, _ in small.named_parameters()}
    assert {tensor.dtype for tensor in read.values()} == {torch.bfloat16}
    assert float(read[plan.key_prefix + "0.weight"].float().std()) == pytest.approx(1 / 6, rel=0.1)
    assert read[plan.key_prefix + "1.weight"].unique().tolist() == [1.0]
    assert read[plan.key_prefix + "2.bias"].unique().tolist() == [0.0]

    loaded = _network()
    model = SimpleNamespace(model=SimpleNamespace(diffusion_model=loaded))
    assert len(differing_weights(model, path, plan.key_prefix)) > 0
    loaded.load_state_dict({k.removeprefix(plan.key_prefix): v for k, v in read.items()})
    assert differing_weights(model, path, plan.key_prefix) == []
    with torch.no_grad():
        loaded.get_parameter("1.weight")[3] += 1
    assert differing_weights(model, path, plan.key_prefix) == [plan.key_prefix + "1.weight"]


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 64, 3), nn.GroupNorm(4, 64), nn.Linear(64, 8)).bfloat16()


def test_a_machine_that_is_too_small_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plans.PLANS["z_image"]
    monkeypatch.setattr(plans, "free_memory_gib", lambda: 11.96)
    assert plans.shortage(plan, tmp_path) == (
        f"not measured: 12.0 GiB of memory free, {plan.memory_gib:g} needed"
    )
    monkeypatch.setattr(plans, "free_memory_gib", lambda: 99.0)
    monkeypatch.setattr(plans.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**30))
    assert plans.shortage(plan, tmp_path) == (
        f"not measured: 1.0 GiB of disk free, {plan.disk_gib:g} needed"
    )


def test_nothing_is_left_behind_where_it_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.devtools.full_size import __main__ as command

    monkeypatch.setattr(command, "shortage", lambda plan, folder: "not measured: too small")
    found = command.measure("sdxl", tmp_path)
    assert json.loads(json.dumps(found))["not_measured"] == "not measured: too small"
    monkeypatch.setattr(command, "shortage", lambda plan, folder: "")
    killed = subprocess.CompletedProcess([], -9, "")
    with monkeypatch.context() as patched:
        patched.setattr(command.subprocess, "run", lambda *args, **kwargs: killed)
        assert "want of memory" in command.measure("sdxl", tmp_path)["not_measured"]
    monkeypatch.setattr(command.sys, "executable", "/no/such/interpreter")
    with pytest.raises(OSError, match="interpreter"):
        command.measure("sdxl", tmp_path)
    assert list(tmp_path.iterdir()) == []
