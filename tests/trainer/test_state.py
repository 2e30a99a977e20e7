"""A checkpoint brings everything back, bit for bit, and a damaged one does not count."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from lora_kiln.core.errors import StateError
from lora_kiln.trainer.adapter import LoraAdapter
from lora_kiln.trainer.config import TrainSettings
from lora_kiln.trainer.parts import Part
from lora_kiln.trainer.scaling import LossScale
from lora_kiln.trainer.schedule import make_optimizer, make_schedule
from lora_kiln.trainer.state import KEPT_STATES, TrainState, latest_checkpoint

SETTINGS = TrainSettings(
    run_name="x", steps=20, learning_rate=1e-2, schedule="cosine", warmup_steps=3
)


def make_state(
    second: ModuleType, rank: int = 3, names: tuple[str, ...] = ("a", "b.c")
) -> TrainState:
    torch.manual_seed(0)
    modules: list[nn.Module] = [nn.Linear(6, 5), nn.Conv2d(4, 3, 3)]
    adapter = LoraAdapter(
        {name: Part(m, rank, rank) for name, m in zip(names, modules, strict=True)},
        second.PlainWeights(),
        seed=1,
        device=torch.device("cpu"),
    )
    optimizer = make_optimizer(adapter.groups(), SETTINGS)
    return TrainState(
        step=0,
        adapter=adapter,
        optimizer=optimizer,
        schedule=make_schedule(optimizer, SETTINGS),
        scale=LossScale.for_precision("fp16"),
    )


def advance(state: TrainState, until: int) -> TrainState:
    """Steps with gradients that depend on the step's number alone."""
    while state.step < until:
        generator = torch.Generator().manual_seed(state.step)
        for parameter in state.adapter.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        state.optimizer.step()
        state.schedule.step()
        state.scale.update(state.step % 4 != 1)
        state.step += 1
    return state


def assert_same(state: TrainState, other: TrainState) -> None:
    for name, value in state.adapter.state().items():
        assert torch.equal(value, other.adapter.state()[name]), name
    moments, theirs = state._optimizer_tensors(), other._optimizer_tensors()
    assert moments.keys() == theirs.keys()
    assert all(torch.equal(moments[name], theirs[name]) for name in moments)
    assert state.optimizer.param_groups[0]["lr"] == other.optimizer.param_groups[0]["lr"]
    assert (state.step, state.scale, state.bad_steps) == (other.step, other.scale, other.bad_steps)
    assert state.schedule.last_epoch == other.schedule.last_epoch


@pytest.mark.parametrize("cut", [1, 2, 5, 11])
def test_saved_loaded_and_trained_on_is_bit_exact(
    second: ModuleType, tmp_path: Path, cut: int
) -> None:
    saved = advance(make_state(second), cut)
    saved.bad_steps = 2
    path = saved.save(tmp_path)
    assert path == tmp_path / f"step_{cut:06d}"
    loaded = make_state(second)
    loaded.load(path)
    assert_same(loaded, saved)
    assert len(loaded._optimizer_tensors()) == 4 * 3
    assert_same(advance(loaded, 15), advance(saved, 15))


def test_no_pickle_in_a_checkpoint(second: ModuleType, tmp_path: Path) -> None:
    path = advance(make_state(second), 2).save(tmp_path)
    assert sorted(p.name for p in path.iterdir()) == [
        "adapter.safetensors", "optimizer.safetensors", "state.json"
    ]
    document = json.loads((path / "state.json").read_text())
    assert document["step"] == 2
    assert set(document["sha256"]) == {"adapter.safetensors", "optimizer.safetensors"}


def test_only_two_are_kept(second: ModuleType, tmp_path: Path) -> None:
    state = make_state(second)
    for step in (1, 2, 3, 4):
        advance(state, step).save(tmp_path)
    assert KEPT_STATES == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_000003", "step_000004"]


def test_saving_the_same_step_again_changes_nothing(second: ModuleType, tmp_path: Path) -> None:
    state = advance(make_state(second), 2)
    path = state.save(tmp_path)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in path.iterdir()}
    state.save(tmp_path)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in path.iterdir()} == before


@pytest.mark.parametrize("damage", ["adapter", "optimizer", "missing", "torn", "version"])
def test_a_damaged_newest_falls_back(second: ModuleType, tmp_path: Path, damage: str) -> None:
    state = make_state(second)
    older = advance(state, 2).save(tmp_path)
    newest = advance(state, 4).save(tmp_path)
    assert latest_checkpoint(tmp_path) == newest
    marker = newest / "state.json"
    if damage == "missing":
        (newest / "optimizer.safetensors").unlink()
    elif damage == "torn":
        marker.write_text(marker.read_text()[:40])
    elif damage == "version":
        marker.write_text(marker.read_text().replace('"version": 1', '"version": 99'))
    else:
        file = newest / f"{damage}.safetensors"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    assert latest_checkpoint(tmp_path) == older
    marker.unlink(missing_ok=True)
    (older / "state.json").unlink()
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_a_damaged_newest_is_written_again_when_the_step_comes_round(
    second: ModuleType, tmp_path: Path
) -> None:
    state = make_state(second)
    older = advance(state, 2).save(tmp_path)
    newest = advance(state, 4).save(tmp_path)
    (newest / "optimizer.safetensors").write_bytes(b"")
    again = make_state(second)
    again.load(older)
    advance(again, 4).save(tmp_path)
    assert latest_checkpoint(tmp_path) == newest
    fresh = make_state(second)
    fresh.load(newest)
    assert_same(fresh, state)


def test_another_shape_is_refused_by_name(second: ModuleType, tmp_path: Path) -> None:
    path = advance(make_state(second), 1).save(tmp_path)
    with pytest.raises(StateError, match=r"step_000001 differs at .*Expected factors of the same"):
        make_state(second, rank=4).load(path)
    other = make_state(second, names=("a", "b.d"))
    before = other.adapter.state()
    with pytest.raises(StateError, match=r"differs at b\."):
        other.load(path)
    assert all(torch.equal(value, before[name]) for name, value in other.adapter.state().items())
