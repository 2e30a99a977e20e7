"""A frozen layer passes on exactly the gradient that autograd would, and keeps no weight."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lora_kiln.core.attach import Attachment
from lora_kiln.core.protocols import FetchedWeight
from lora_kiln.trainer.frozen import attach_frozen, is_foldable

CASES: list[tuple[str, Any, tuple[int, ...]]] = [
    ("linear", lambda: nn.Linear(6, 5), (3, 6)),
    ("linear on tokens", lambda: nn.Linear(6, 5, bias=False), (2, 4, 6)),
    ("conv 1x1", lambda: nn.Conv2d(4, 3, 1), (2, 4, 5, 6)),
    ("conv 3x3", lambda: nn.Conv2d(4, 3, 3, padding=1), (2, 4, 5, 6)),
    ("strided", lambda: nn.Conv2d(4, 3, 3, stride=2, padding=1), (2, 4, 7, 6)),
    ("uneven stride", lambda: nn.Conv2d(4, 3, (3, 2), stride=(2, 3)), (2, 4, 8, 9)),
    ("dilated", lambda: nn.Conv2d(4, 3, 3, dilation=2, padding=2), (1, 4, 7, 7)),
    ("grouped", lambda: nn.Conv2d(4, 6, 3, groups=2, bias=False), (1, 4, 6, 6)),
]


class CountingWeights:
    """Hands weights out and counts; raises when asked to."""

    def __init__(self) -> None:
        self.open = 0
        self.fetched = 0

    def fetch(self, module: nn.Module, like: torch.Tensor) -> FetchedWeight:
        self.open += 1
        self.fetched += 1
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        return FetchedWeight(weight, None, self._release)

    def _release(self) -> None:
        self.open -= 1


def gradient(module: nn.Module, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values = values.clone().requires_grad_(True)
    result = module(values)
    (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    assert values.grad is not None
    return result.detach(), values.grad


@pytest.mark.parametrize(("make", "shape"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.parametrize("inference", [False, True])
def test_equal_to_plain_autograd(make: Any, shape: tuple[int, ...], inference: bool) -> None:
    torch.manual_seed(0)
    module = make().requires_grad_(False)
    values = torch.randn(shape)
    wanted = gradient(module, values)
    if inference:
        with torch.inference_mode():
            for name in list(module._parameters):
                if module._parameters[name] is not None:
                    value = module._parameters[name].clone()
                    module._parameters[name] = nn.Parameter(value, requires_grad=False)
        assert module.weight.is_inference()
        with pytest.raises(RuntimeError, match="nference tensor"):
            gradient(module, values)
    weights = CountingWeights()
    with Attachment() as attachment:
        attach_frozen(attachment, [module], weights)
        result, grad = gradient(module, values)
        with torch.no_grad():
            assert torch.equal(module(values), result)
    assert torch.equal(result, wanted[0])
    torch.testing.assert_close(grad, wanted[1], rtol=1e-6, atol=1e-6)
    assert (weights.fetched, weights.open) == (1, 0)
    assert "forward" not in module.__dict__


def test_the_weight_is_released_when_backward_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_kiln.trainer import frozen

    def fail(*_args: Any) -> torch.Tensor:
        raise RuntimeError("boom")

    module, weights = nn.Linear(3, 3), CountingWeights()
    monkeypatch.setattr(frozen, "_input_gradient", fail)
    with Attachment() as attachment:
        attach_frozen(attachment, [module], weights)
        result = module(torch.randn(1, 3, requires_grad=True)).sum()
        with pytest.raises(RuntimeError, match="boom"):
            result.backward()
    assert (weights.fetched, weights.open) == (1, 0)


def test_nothing_of_the_layer_is_saved_for_backward() -> None:
    module, saved = nn.Linear(64, 64).requires_grad_(False), []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.shape)
        return tensor

    with Attachment() as attachment:
        attach_frozen(attachment, [module], CountingWeights())
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            module(torch.randn(2, 64, requires_grad=True))
    assert saved == []


def test_what_has_no_known_backward_is_left_alone() -> None:
    others = [
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(2, 2, 3),
        nn.LayerNorm(3),
    ]
    assert not any(map(is_foldable, others))
    with Attachment() as attachment:
        attach_frozen(attachment, others, CountingWeights())
        assert not any("forward" in module.__dict__ for module in others)
