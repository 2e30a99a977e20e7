"""LoRAs beside frozen layers: equal to the merged weight, cell by cell, and gone afterwards."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import nn

from lora_kiln.core.attach import Attachment
from lora_kiln.core.errors import HostError
from lora_kiln.sweep.beside import Factors, WeightedLora, attach_loras

STRENGTHS = torch.tensor([0.0, 0.5, -1.2])


def layers() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "linear": nn.Linear(6, 10),
        "conv": nn.Conv2d(3, 8, 3, stride=2, padding=1, dilation=1),
        "wide": nn.Conv2d(3, 4, (3, 1), padding=(2, 0), dilation=(2, 1), bias=False),
    }


def inputs(name: str, count: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 5, 6) if name == "linear" else (count, 3, 9, 7)
    return torch.randn(shape, generator=generator)


def factors_of(module: nn.Module, rank: int, scale: float = 0.5) -> Factors:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    ones = [1] * (weight.ndim - 2)
    return Factors(
        torch.randn(rank, *weight.shape[1:]), torch.randn(weight.shape[0], rank, *ones), scale
    )


def merged(module: nn.Module, each: list[tuple[Factors, float]], x: torch.Tensor) -> torch.Tensor:
    """What the stock loader computes: the sum in the weight."""
    import copy

    own = copy.deepcopy(module)
    assert isinstance(own.weight, torch.Tensor)
    with torch.no_grad():
        for factors, strength in each:
            change = factors.up.flatten(1) @ factors.down.flatten(1)
            own.weight += strength * factors.scale * change.view_as(own.weight)
        result: torch.Tensor = own(x)
    return result


@pytest.mark.parametrize("name", ["linear", "conv", "wide"])
@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("ranks", [(2,), (4, 1, 3)])
def test_every_cell_equals_the_merged_weight(
    name: str, chunks: int, ranks: tuple[int, ...]
) -> None:
    """Also for several LoRAs of different rank, each with its own strengths."""
    modules = layers()
    module = modules[name]
    each = [factors_of(module, rank, scale=0.3 * rank) for rank in ranks]
    strengths = [STRENGTHS + 0.1 * number for number in range(len(ranks))]
    loras = [WeightedLora({name: f}, s) for f, s in zip(each, strengths, strict=True)]
    x = inputs(name, 3 * chunks)
    with torch.no_grad(), Attachment() as attachment:
        attach_loras(attachment, modules, loras)
        beside = module(x)
    for row in range(len(x)):
        own = [(f, float(s[row % 3])) for f, s in zip(each, strengths, strict=True)]
        torch.testing.assert_close(
            beside[row], merged(module, own, x[row : row + 1])[0], rtol=1e-5, atol=2e-5
        )


def test_a_layer_that_only_one_lora_knows() -> None:
    modules = layers()
    both = {name: factors_of(modules[name], 2) for name in ("linear", "conv")}
    only = {"linear": factors_of(modules["linear"], 3)}
    x = inputs("conv", 3)
    with torch.no_grad(), Attachment() as attachment:
        attach_loras(attachment, modules, [WeightedLora(only, STRENGTHS)])
        assert "forward" not in vars(modules["conv"])
        attach_loras(attachment, modules, [WeightedLora(both, STRENGTHS)])
        got = modules["conv"](x)
    torch.testing.assert_close(
        got[1], merged(modules["conv"], [(both["conv"], 0.5)], x)[1], rtol=1e-5, atol=1e-5
    )


def test_strength_zero_adds_nothing_even_when_the_lora_overflows() -> None:
    modules: Mapping[str, nn.Module] = {"linear": nn.Linear(6, 10).half()}
    module = modules["linear"]
    huge = Factors(torch.full((1, 6), 100.0), torch.full((10, 1), 6e4), 1.0)
    x = torch.ones(2, 6).half()
    with torch.no_grad(), Attachment() as attachment:
        plain = module(x)
        attach_loras(attachment, modules, [WeightedLora({"linear": huge}, torch.tensor([0.0, 1]))])
        got = module(x)
    assert torch.equal(got[0], plain[0])
    assert torch.isinf(got[1]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_small_strength_is_not_lost_in_half_precision(dtype: torch.dtype) -> None:
    """1e-8 is zero in fp16; the product of strength and a large LoRA is not."""
    module = nn.Linear(6, 10).to(dtype)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    large = Factors(torch.full((1, 6), 1000.0), torch.full((10, 1), 1000.0), 1.0)
    x = torch.ones(1, 6, dtype=dtype)
    with torch.no_grad(), Attachment() as attachment:
        lora = WeightedLora({"linear": large}, torch.tensor([1e-8]))
        attach_loras(attachment, {"linear": module}, [lora])
        got = module(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), torch.full((1, 10), 0.06), rtol=1e-2, atol=0)


def test_a_batch_that_is_no_multiple_of_the_cells_is_refused() -> None:
    modules = layers()
    lora = WeightedLora({"linear": factors_of(modules["linear"], 2)}, STRENGTHS)
    with Attachment() as attachment:
        attach_loras(attachment, modules, [lora])
        with pytest.raises(HostError, match=r"linear got 4 inputs for 3 cells.*exact"):
            modules["linear"](inputs("linear", 4))
    assert "forward" not in vars(modules["linear"])


def test_loras_over_different_cells_are_refused() -> None:
    modules = layers()
    loras = [
        WeightedLora({"linear": factors_of(modules["linear"], 2)}, STRENGTHS[:count])
        for count in (2, 3)
    ]
    with Attachment() as attachment, pytest.raises(ValueError, match=r"\[2, 3\] cells"):
        attach_loras(attachment, modules, loras)


def test_everything_is_gone_afterwards() -> None:
    modules = layers()
    x = inputs("linear", 3)
    before = modules["linear"](x)
    lora = WeightedLora({name: factors_of(m, 2) for name, m in modules.items()}, STRENGTHS)

    def interrupted() -> None:
        with Attachment() as attachment:
            attach_loras(attachment, modules, [lora])
            assert not torch.equal(modules["linear"](x), before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not [name for name, module in modules.items() if "forward" in vars(module)]
    assert torch.equal(modules["linear"](x), before)
