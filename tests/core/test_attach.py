"""What is put beside a module goes away again, whatever happens."""

from __future__ import annotations

import types
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from lora_kiln.core.attach import Attachment, autograd_alias


class Thing:
    """Has one attribute of its class and may have one of its own."""

    shared = "class"


def photograph(module: nn.Module) -> list[Any]:
    """Everything an attachment may touch, by identity."""
    return [
        (
            name,
            inner.__dict__.get("forward"),
            inner.training,
            {key: id(value) for key, value in inner._parameters.items()},
            {key: id(value) for key, value in inner._buffers.items()},
        )
        for name, inner in module.named_modules()
    ]


def test_everything_stands_as_before() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    values = torch.randn(5, 3)
    model.eval()
    before, result = photograph(model), model(values)
    with Attachment() as attachment:
        linear = model[0]
        assert isinstance(linear, nn.Linear)
        attachment.replace_forward(linear, lambda x: torch.zeros_like(x))
        attachment.replace_tensor(linear, "weight", torch.ones(3, 3))
        attachment.replace_tensor(model[1], "running_mean", torch.ones(3))
        attachment.set_training(model, True)
        assert torch.equal(linear(values), torch.zeros(5, 3))
        assert torch.equal(linear.weight, torch.ones(3, 3))
        assert model.training
        assert not linear.training
    assert photograph(model) == before
    assert torch.equal(model(values), result)


def test_a_layered_forward_comes_off_layer_by_layer() -> None:
    linear = nn.Linear(2, 2)
    attachment = Attachment()
    first = linear.forward
    attachment.replace_forward(linear, lambda x: first(x) + 1)
    second = linear.forward
    attachment.replace_forward(linear, lambda x: second(x) * 2)
    values = torch.randn(1, 2)
    assert torch.allclose(linear(values), (first(values) + 1) * 2)
    attachment.restore()
    assert "forward" not in linear.__dict__
    assert torch.equal(linear(values), nn.functional.linear(values, linear.weight, linear.bias))


def test_a_forward_someone_else_put_there_comes_back() -> None:
    linear = nn.Linear(2, 2)

    def other(x: torch.Tensor) -> torch.Tensor:
        return x

    linear.__dict__["forward"] = other
    with Attachment() as attachment:
        attachment.replace_forward(linear, lambda x: -x)
    assert linear.__dict__["forward"] is other


def test_undone_in_reverse_order_even_when_one_fails() -> None:
    log: list[int] = []

    def undo(number: int) -> None:
        log.append(number)
        if number in (1, 2):
            raise RuntimeError(f"undo {number}")

    attachment = Attachment()
    for number in range(4):
        attachment.on_restore(partial(undo, number))
    with pytest.raises(RuntimeError, match="undo 2"):
        attachment.restore()
    assert log == [3, 2, 1, 0]
    attachment.restore()
    assert log == [3, 2, 1, 0]


def test_restored_when_the_body_raises() -> None:
    linear = nn.Linear(2, 2)

    def interrupted() -> None:
        with Attachment() as attachment:
            attachment.replace_forward(linear, lambda x: x)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "forward" not in linear.__dict__


def test_attributes_of_objects_classes_and_modules() -> None:
    thing, module = Thing(), types.ModuleType("made_up")
    module.__dict__["flag"] = False
    with Attachment() as attachment:
        attachment.set_attribute(thing, "shared", "own")
        attachment.set_attribute(module, "flag", True)
        attachment.set_attribute(module, "fresh", 1)
        assert (thing.shared, module.__dict__["flag"]) == ("own", True)
    assert (thing.shared, vars(thing)) == ("class", {})
    assert module.__dict__["flag"] is False
    assert "fresh" not in vars(module)


def test_an_unknown_tensor_is_refused_and_leaves_nothing() -> None:
    linear = nn.Linear(2, 2)
    before = photograph(linear)
    with Attachment() as attachment, pytest.raises(KeyError, match="Linear has no parameter"):
        attachment.replace_tensor(linear, "scale", torch.ones(2))
    assert photograph(linear) == before


def test_an_inference_weight_gets_an_ordinary_alias() -> None:
    with torch.inference_mode():
        weight = torch.randn(4, 6)
        view = weight[1:3, ::2]
    for tensor in (weight, view):
        alias = autograd_alias(tensor)
        assert not alias.is_inference()
        assert alias.data_ptr() == tensor.data_ptr()
        assert alias.stride() == tensor.stride()
        assert torch.equal(alias, tensor)
    values = torch.randn(2, 6, requires_grad=True)
    with pytest.raises(RuntimeError, match="nference tensor"):
        (values * weight[0]).sum().backward()
    alias = autograd_alias(weight)
    (values * alias[0]).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, weight[0].expand(2, 6))
