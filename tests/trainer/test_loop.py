"""What the loop does with steps that have no number, and with gradients that are too long."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from lora_kiln.core.errors import TrainingDiverged
from lora_kiln.trainer.adapter import LoraAdapter
from lora_kiln.trainer.batches import BatchPlan
from lora_kiln.trainer.config import TrainSettings
from lora_kiln.trainer.loop import BAD_STEPS_TO_STOP, Loop
from lora_kiln.trainer.parts import Part
from lora_kiln.trainer.runs import Run
from lora_kiln.trainer.scaling import LossScale
from lora_kiln.trainer.schedule import make_optimizer, make_schedule
from lora_kiln.trainer.state import TrainState


class FakeRunner:
    """Sets gradients as told, times the loss scale; a None in ``values`` is an overflow."""

    microbatch_limit = 4

    def __init__(self, values: Sequence[float | None]) -> None:
        self.values = values
        self.state: TrainState | None = None
        self.scales: list[float] = []

    def backward(
        self, batches: Any, step: int, scale: float, between: Callable[[], None]
    ) -> float:
        assert self.state is not None
        self.scales.append(scale)
        value = self.values[step]
        for parameter in self.state.adapter.parameters():
            grad = math.inf if value is None else value * scale
            parameter.grad = torch.full_like(parameter, grad)
        return 1.0


class Silent:
    """Progress that nobody sees."""

    def update(self, *_args: Any, **_kwargs: Any) -> None: ...

    def say(self, text: str) -> None: ...

    def check_cancelled(self) -> None: ...

    def is_cancellation(self, error: BaseException) -> bool:
        return False


def make_loop(
    second: ModuleType, folder: Path, values: Sequence[float | None], precision: str, **changes: Any
) -> Loop:
    settings = TrainSettings(steps=len(values), learning_rate=1e-2, checkpoint_every=0, **changes)
    adapter = LoraAdapter(
        {"a": Part(nn.Linear(6, 5), 2, 2.0)}, second.PlainWeights(), seed=1,
        device=torch.device("cpu"),
    )  # fmt: skip
    optimizer = make_optimizer(adapter.groups(), settings)
    runner: Any = FakeRunner(values)
    runner.state = state = TrainState(
        step=0,
        adapter=adapter,
        optimizer=optimizer,
        schedule=make_schedule(optimizer, settings),
        scale=LossScale.for_precision(precision),
    )
    return Loop(
        settings=settings,
        run=Run(folder, "x"),
        state=state,
        runner=runner,
        plan=BatchPlan({(8, 8): [0, 1]}, batch_size=2, accumulate=1, seed=0),
        progress=Silent(),
        on_checkpoint=lambda step: None,
        store_less=lambda: False,
    )


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_overflows_in_fp16_skip_and_halve_and_are_no_divergence(
    second: ModuleType, tmp_path: Path
) -> None:
    values = [0.5, *[None] * 6, 0.5]
    loop = make_loop(second, tmp_path, values, "fp16")
    loop.advance(1)
    before = loop.state.adapter.state()
    loop.advance(7)
    assert all(torch.equal(v, before[name]) for name, v in loop.state.adapter.state().items())
    assert loop.state.scale.scale == 2.0**8
    loop.advance(8)
    after = loop.state.adapter.state()
    assert all(not torch.equal(value, before[name]) for name, value in after.items())
    assert [entry["skipped"] for entry in metrics(tmp_path)] == [False, *[True] * 6, False]
    assert [entry["step"] for entry in metrics(tmp_path)] == list(range(1, 9))
    assert loop.state.schedule.last_epoch == 8


def test_the_scale_itself_changes_nothing(second: ModuleType, tmp_path: Path) -> None:
    """Powers of two: a run with another scale is the same run, bit for bit."""
    states = []
    for precision in ("fp16", "fp32"):
        folder = tmp_path / precision
        folder.mkdir()
        loop = make_loop(second, folder, [0.5, -0.25, 0.125], precision)
        loop.advance(3)
        states.append(loop.state.adapter.state())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_fp16_diverges_when_the_scale_cannot_fall_further(
    second: ModuleType, tmp_path: Path
) -> None:
    loop = make_loop(second, tmp_path, [None] * 30, "fp16")
    with pytest.raises(TrainingDiverged, match="Expected finite losses"):
        loop.advance(30)
    assert len(metrics(tmp_path)) == 15 + BAD_STEPS_TO_STOP
    assert loop.state.scale.scale < 1


def test_single_bad_steps_are_forgiven(second: ModuleType, tmp_path: Path) -> None:
    loop = make_loop(second, tmp_path, [None, None, 0.1] * 4, "bf16")
    loop.advance(12)
    assert loop.state.step == 12
    assert loop.state.bad_steps == 0


@pytest.mark.parametrize(("limit", "clipped"), [(1.0, True), (1e3, False), (0.0, False)])
def test_long_gradients_are_shortened(
    second: ModuleType, tmp_path: Path, limit: float, clipped: bool
) -> None:
    loop = make_loop(second, tmp_path, [10.0], "fp32", max_grad_norm=limit)
    lengths: list[float] = []
    plain = loop.state.optimizer.step

    def record(*args: Any) -> Any:
        grads = [p.grad.flatten() for p in loop.state.adapter.parameters() if p.grad is not None]
        lengths.append(float(torch.cat(grads).norm()))
        return plain(*args)

    loop.state.optimizer.step = record  # type: ignore[method-assign, assignment]
    loop.advance(1)
    whole = 10 * math.sqrt(2 * 6 + 5 * 2)
    assert lengths[0] == pytest.approx(1.0 if clipped else whole, rel=1e-4)
    assert metrics(tmp_path)[0]["grad_norm"] == pytest.approx(whole, rel=1e-5)
