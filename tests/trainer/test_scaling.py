"""An overflow in fp16 skips the step and halves the scale; it is no divergence."""

from __future__ import annotations

import math

import pytest
import torch

from lora_kiln.trainer.scaling import GROWTH_INTERVAL, LossScale


def parameter(*grad: float) -> torch.nn.Parameter:
    made = torch.nn.Parameter(torch.zeros(len(grad)))
    made.grad = torch.tensor(grad)
    return made


def test_gradients_are_divided_by_the_scale() -> None:
    scale = LossScale.for_precision("fp16")
    assert (scale.enabled, scale.scale) == (True, 2.0**14)
    made = parameter(2.0**14, -(2.0**13))
    assert scale.unscale([made])
    assert made.grad is not None
    assert made.grad.tolist() == [1.0, -0.5]


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_an_overflow_is_found_in_any_parameter(bad: float) -> None:
    for scale in (LossScale.for_precision("fp16"), LossScale.for_precision("fp32")):
        assert not scale.unscale([parameter(1.0), parameter(0.0, bad)])
        assert scale.unscale([parameter(1.0), torch.nn.Parameter(torch.zeros(2))])
    assert LossScale.for_precision("fp16").unscale([])


def test_halved_by_an_overflow_and_doubled_after_many_good_steps() -> None:
    scale = LossScale.for_precision("fp16")
    for _ in range(GROWTH_INTERVAL - 1):
        scale.update(True)
    scale.update(False)
    assert (scale.scale, scale.good_steps) == (2.0**13, 0)
    for _ in range(GROWTH_INTERVAL - 1):
        scale.update(True)
    assert scale.scale == 2.0**13
    scale.update(True)
    assert (scale.scale, scale.good_steps) == (2.0**14, 0)


def test_exhausted_only_when_it_cannot_fall_further() -> None:
    scale = LossScale.for_precision("fp16")
    falls = 0
    while not scale.exhausted:
        scale.update(False)
        falls += 1
    assert falls == 15
    assert scale.scale < 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_off_for_all_others(precision: str) -> None:
    scale = LossScale.for_precision(precision)
    scale.update(False)
    assert (scale.enabled, scale.scale, scale.exhausted) == (False, 1.0, True)
    made = parameter(3.0)
    assert scale.unscale([made])
    assert made.grad is not None
    assert made.grad.item() == 3.0
