"""LoRAs beside frozen layers: equal to the merged weight, cell by cell, and gone afterwards."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import nn

from lora_kiln.core.attach import Attachment
from lora_kiln.core.errors import HostError
from lora_kiln.sweep.beside import CellLora, Factors, LoraFactors, attach_loras

STRENGTHS = (0.0, 0.5, -1.2)


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


def cells_with(*strengths: float, lora: int | None = 0) -> list[CellLora]:
    return [CellLora(lora, strength) for strength in strengths]


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
    """Also with a LoRA of its own for each cell, of different ranks, and none for one."""
    modules = layers()
    module = modules[name]
    each = [factors_of(module, rank, scale=0.3 * rank) for rank in ranks]
    cells = [CellLora(n % len(ranks), s) for n, s in enumerate((0.5, -1.2, 0.0, 1.0, 0.3))]
    cells.append(CellLora(None))
    x = inputs(name, len(cells) * chunks)
    with torch.no_grad(), Attachment() as attachment:
        attach_loras(attachment, modules, [{name: own} for own in each], cells)
        beside = module(x)
    for row in range(len(x)):
        cell = cells[row % len(cells)]
        own = [] if cell.lora is None else [(each[cell.lora], cell.strength)]
        torch.testing.assert_close(
            beside[row], merged(module, own, x[row : row + 1])[0], rtol=1e-5, atol=2e-5
        )


def test_inputs_of_two_dimensions() -> None:
    """A time embedding has no tokens."""
    modules = {"linear": layers()["linear"]}
    each = [factors_of(modules["linear"], rank) for rank in (2, 3)]
    x = torch.randn(4, 6)
    with torch.no_grad(), Attachment() as attachment:
        cells = [CellLora(0, 1.0), CellLora(1, -0.5)]
        attach_loras(attachment, modules, [{"linear": own} for own in each], cells)
        got = modules["linear"](x)
    for row, (number, strength) in enumerate([(0, 1.0), (1, -0.5)] * 2):
        want = merged(modules["linear"], [(each[number], strength)], x[row : row + 1])
        torch.testing.assert_close(got[row], want[0], rtol=1e-5, atol=2e-5)


def test_a_layer_that_only_one_lora_knows() -> None:
    modules = layers()
    both: LoraFactors = {name: factors_of(modules[name], 2) for name in ("linear", "conv")}
    only: LoraFactors = {"linear": factors_of(modules["linear"], 3)}
    x = inputs("conv", 3)
    with torch.no_grad(), Attachment() as attachment:
        attach_loras(attachment, modules, [only], cells_with(*STRENGTHS))
        assert "forward" not in vars(modules["conv"])
    cells = [CellLora(0, 1.0), CellLora(1, 0.5), CellLora(0, -1.0)]
    with torch.no_grad(), Attachment() as attachment:
        plain = modules["conv"](x)
        attach_loras(attachment, modules, [only, both], cells)
        got = modules["conv"](x)
    assert torch.equal(got[0], plain[0])
    torch.testing.assert_close(
        got[1:2], merged(modules["conv"], [(both["conv"], 0.5)], x[1:2]), rtol=1e-5, atol=1e-5
    )


def test_a_cell_may_have_a_part_of_its_lora() -> None:
    modules = layers()
    lora: LoraFactors = {name: factors_of(module, 2) for name, module in modules.items()}
    cells = [CellLora(0, 2.0, lambda path: 0.25 if path == "linear" else 0.0)]
    x = inputs("linear", 1)
    with torch.no_grad(), Attachment() as attachment:
        attach_loras(attachment, modules, [lora], cells)
        assert "forward" not in vars(modules["conv"]), "nothing to add there"
        got = modules["linear"](x)
    want = merged(modules["linear"], [(lora["linear"], 0.5)], x)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_strength_zero_adds_nothing_even_when_the_lora_overflows() -> None:
    modules: Mapping[str, nn.Module] = {"linear": nn.Linear(6, 10).half()}
    module = modules["linear"]
    huge = Factors(torch.full((1, 6), 100.0), torch.full((10, 1), 6e4), 1.0)
    x = torch.ones(2, 6).half()
    with torch.no_grad(), Attachment() as attachment:
        plain = module(x)
        attach_loras(attachment, modules, [{"linear": huge}], cells_with(0.0, 1.0))
        got = module(x)
    assert torch.equal(got[0], plain[0])
    assert torch.isinf(got[1]).all()


@pytest.mark.parametrize("count", [1, 2])
def test_strength_zero_adds_nothing_even_when_the_hidden_units_overflow(count: int) -> None:
    """In the down product already, for one LoRA and for several."""
    modules: Mapping[str, nn.Module] = {"linear": nn.Linear(6, 10).half()}
    huge: LoraFactors = {
        "linear": Factors(torch.full((1, 6), 6e4), torch.full((10, 1), 1.0), 1.0)
    }
    x = torch.full((2, 6), 2.0).half()
    cells = [CellLora(0, 0.0), CellLora(count - 1, 1.0)]
    with torch.no_grad(), Attachment() as attachment:
        plain = modules["linear"](x)
        attach_loras(attachment, modules, [huge] * count, cells)
        got = modules["linear"](x)
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
        attach_loras(attachment, {"linear": module}, [{"linear": large}], cells_with(1e-8))
        got = module(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), torch.full((1, 10), 0.06), rtol=1e-2, atol=0)


def test_a_batch_that_is_no_multiple_of_the_cells_is_refused() -> None:
    modules = layers()
    lora: LoraFactors = {"linear": factors_of(modules["linear"], 2)}
    with Attachment() as attachment:
        attach_loras(attachment, modules, [lora], cells_with(*STRENGTHS))
        with pytest.raises(HostError, match=r"linear got 4 inputs for 3 cells.*exact"):
            modules["linear"](inputs("linear", 4))
    assert "forward" not in vars(modules["linear"])


def test_everything_is_gone_afterwards() -> None:
    modules = layers()
    x = inputs("linear", 3)
    before = modules["linear"](x)
    lora = {name: factors_of(m, 2) for name, m in modules.items()}

    def interrupted() -> None:
        with Attachment() as attachment:
            attach_loras(attachment, modules, [lora], cells_with(*STRENGTHS))
            assert not torch.equal(modules["linear"](x), before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not [name for name, module in modules.items() if "forward" in vars(module)]
    assert torch.equal(modules["linear"](x), before)
