"""The guard catches what MPS would not do, and lets through what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from lora_kiln.core.attach import Attachment, autograd_alias
from lora_kiln.core.seeds import generator
from lora_kiln.devtools.mps_guard import MpsGuard, MpsRefusal, kernels

MPS = torch.device("mps")


def on_mps(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape).to(MPS, dtype)


FORBIDDEN: dict[str, tuple[Callable[[], Any], str]] = {
    "float64 made": (lambda: torch.zeros(2, device="mps", dtype=torch.float64), "float64"),
    "float64 from numbers": (lambda: torch.tensor([1.0], dtype=torch.float64, device=MPS), "64"),
    "float64 moved": (lambda: torch.zeros(2, dtype=torch.float64).to("mps"), "float64"),
    "float64 cast": (lambda: on_mps(2).double(), "float64"),
    "float64 by promotion": (
        lambda: torch.zeros(2, dtype=torch.int32, device=MPS) * torch.tensor(2.0).double(), "64",
    ),
    "complex128": (lambda: torch.zeros(2, dtype=torch.complex128).to(MPS), "complex128"),
    "fp8": (lambda: on_mps(2).to(torch.float8_e4m3fn), "fp8"),
    "missing operator": (lambda: torch.poisson(on_mps(2).abs()), "poisson: MPS has no kernel"),
    "missing in place": (lambda: on_mps(2).put_(torch.tensor([0]).to(MPS), on_mps(1)), "put_"),
    "missing in a composite": (lambda: torch.linalg.eigh(on_mps(2, 2)), "_linalg_eigh"),
    "svd": (lambda: torch.linalg.svd(on_mps(2, 2)), "svd"),
    "silent fallback": (
        lambda: functional.fold(on_mps(1, 4, 4), (4, 4), (2, 2), stride=2), "silently",
    ),
    "CPU generator": (
        lambda: torch.randn(2, generator=generator(1), device=MPS), "a generator on cpu",
    ),
    "CPU generator in place": (lambda: on_mps(2).normal_(generator=generator(1)), "generator"),
    "MPS generator for the CPU": (
        lambda: torch.randn(2, generator=torch.Generator(device="mps")), "a generator on mps",
    ),
    "host beside device": (lambda: on_mps(2) + torch.ones(2), "tensors on the CPU"),
    "host weight": (lambda: nn.Linear(3, 4)(on_mps(2, 3)), "tensors on the CPU"),
    "host in a list": (lambda: torch.cat([on_mps(2), torch.ones(2)]), "tensors on the CPU"),
    "number for a product": (lambda: torch.stack([on_mps(), torch.ones(())]), "on the CPU"),
    "numpy": (lambda: on_mps(2).numpy(), "numpy"),
    "cuda tensor": (lambda: torch.zeros(2, device="cuda"), "no CUDA"),
    "cuda move": (lambda: torch.zeros(2).to("cuda:0"), "no CUDA"),
    "cuda method": (lambda: torch.zeros(2).cuda(), "no CUDA"),
    "cuda module": (lambda: torch.cuda.synchronize(), "no CUDA"),
    "pinned": (lambda: torch.zeros(2).pin_memory(), "pinned"),
    "made pinned": (lambda: torch.zeros(2, pin_memory=True), "pinned"),
    "autocast for cuda": (lambda: torch.autocast("cuda"), "does nothing"),
    "autocast for the CPU": (lambda: torch.autocast("cpu", torch.bfloat16), "does nothing"),
    "autocast for mps": (lambda: torch.autocast("mps"), "cannot follow"),
    "scaler": (lambda: torch.amp.GradScaler("cuda"), "switches itself off"),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_mps_would_not_do_is_refused(name: str) -> None:
    action, why = FORBIDDEN[name]
    guard = MpsGuard()
    with pytest.raises(MpsRefusal, match=why) as raised, guard:
        action()
    assert str(guard.refusals[0]) == str(raised.value)


def _train_a_layer(dtype: torch.dtype, **options: Any) -> None:
    linear = nn.Linear(4, 4)
    layer = nn.Sequential(linear, nn.LayerNorm(4), nn.GELU()).to(MPS, dtype)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, **options)
    layer(on_mps(2, 4, dtype=dtype)).float().square().mean().backward()
    assert all(p.grad is not None and p.grad.device.type == "mps" for p in layer.parameters())
    before = linear.weight.cpu()
    torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    optimizer.step()
    assert not torch.equal(before, linear.weight.cpu())


def _convolve() -> None:
    values = on_mps(1, 2, 6, 6).requires_grad_()
    result = functional.conv2d(values, on_mps(3, 2, 3, 3), padding=1)
    functional.group_norm(functional.interpolate(result, scale_factor=2), 1).sum().backward()
    assert values.grad is not None


def _attend(grad: bool) -> None:
    q = on_mps(1, 2, 5, 4).requires_grad_(grad)
    out = functional.scaled_dot_product_attention(q, on_mps(1, 2, 5, 4), on_mps(1, 2, 5, 4))
    if grad:
        out.sum().backward()


def _rms_norm() -> None:
    values = on_mps(2, 4).requires_grad_()
    functional.rms_norm(values, (4,), on_mps(4)).sum().backward()


def _recompute() -> None:
    from torch.utils.checkpoint import checkpoint

    values = on_mps(2, 4).requires_grad_()
    checkpoint(lambda x: (x * x).sin(), values, use_reentrant=False).sum().backward()


def _in_inference_mode() -> None:
    with torch.inference_mode():
        layer = nn.Linear(4, 4).to(MPS)
        values = layer(on_mps(2, 4)).reshape(8).to("cpu")
        _attend(grad=False)
    assert values.is_inference()


def _alias() -> None:
    with torch.inference_mode():
        weight = on_mps(3, 4)
    alias = autograd_alias(weight)
    assert (alias.shape, alias.device.type, alias.is_inference()) == ((3, 4), "mps", False)
    alias.add_(1)
    assert torch.equal(alias.cpu(), weight.cpu())


def _views() -> None:
    values = torch.zeros(2, 3, device=MPS)
    values[0].add_(2)
    values[1, 2] = 5
    assert values.tolist() == [[2, 2, 2], [0, 0, 5]]
    assert values.unsqueeze_(0).shape == (1, 2, 3)
    host = torch.zeros(1, 2, 3)
    assert host.copy_(values) is host
    assert float(values.max()) == host[0, 1, 2].item() == 5


def _devices() -> None:
    values = on_mps(2)
    assert values.device == torch.device("mps:0") != MPS
    assert (values.is_mps, values.is_meta, values.is_cuda) == (True, False, False)
    assert torch.zeros(2).to(values).device == torch.zeros_like(values).device == values.device
    assert values.cpu().device.type == torch.ones(1).device.type == "cpu"
    assert values.new_tensor([1.0, 2.0]).tolist() == [1, 2]


ALLOWED: dict[str, Callable[[], Any]] = {
    "numbers drawn on the CPU and moved": lambda: torch.randn(2, generator=generator(1)).to(MPS),
    "generator of the device": lambda: torch.randn(
        2, generator=torch.Generator(device="mps").manual_seed(1), device=MPS
    ),
    "float64 on the host": lambda: torch.ones(2, dtype=torch.float64).sum().float().to(MPS),
    "float64 that is cast on its way": lambda: torch.ones(2).double().to("mps", torch.float32),
    "one number from the host": lambda: on_mps(2) * torch.tensor(2.0),
    "indices from the host": lambda: on_mps(3)[torch.tensor([0, 2])],
    "svd on the host": lambda: torch.linalg.svd(torch.randn(3, 3)),
    "fp32 layer": lambda: _train_a_layer(torch.float32),
    "bf16 layer": lambda: _train_a_layer(torch.bfloat16),
    "fused AdamW": lambda: _train_a_layer(torch.float32, fused=True),
    "convolution": _convolve,
    "attention": lambda: _attend(grad=True),
    "attention without gradients": lambda: _attend(grad=False),
    "rms norm": _rms_norm,
    "recomputed activations": _recompute,
    "inference mode": _in_inference_mode,
    "alias of a weight": _alias,
    "views and writes": _views,
    "names of devices": _devices,
    "autocast switched off": lambda: torch.autocast("cuda", enabled=False).__enter__(),
    "looking for cuda": lambda: (torch.cuda.is_available(), torch.cuda.empty_cache)[1](),
    "emptying the cache": lambda: torch.mps.empty_cache(),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_mps_does_passes(name: str) -> None:
    with MpsGuard() as guard:
        ALLOWED[name]()
    assert guard.refusals == []


def test_the_numbers_are_those_of_the_cpu() -> None:
    values = torch.randn(3, 4)
    layer = nn.Linear(4, 2)
    expected = layer(values)
    with MpsGuard():
        found = layer.to(MPS)(values.to(MPS)).cpu()
    assert torch.equal(found, expected)


def test_the_error_names_operator_reason_and_line() -> None:
    with pytest.raises(MpsRefusal) as raised, MpsGuard():
        torch.poisson(on_mps(2).abs())
    text = str(raised.value)
    assert "poisson" in text
    assert "no kernel" in text
    assert "test_mps_guard.py:" in text


def test_the_line_of_the_pack_is_named_too() -> None:
    def undo() -> None:
        torch.zeros(2).cuda()

    attachment = Attachment()
    attachment.on_restore(undo)
    with pytest.raises(MpsRefusal, match=r"attach\.py:\d+ in restore"), MpsGuard():
        attachment.restore()


def test_a_refusal_that_is_swallowed_comes_back_at_the_end() -> None:
    import contextlib

    with pytest.raises(MpsRefusal, match="float64"), MpsGuard(), contextlib.suppress(Exception):
        on_mps(2).double()


def test_everything_is_as_before_afterwards() -> None:
    before = (torch.Generator, torch.cuda._lazy_init, torch.autocast.__init__)
    with MpsGuard():
        assert torch.backends.mps.is_available()
        assert isinstance(generator(1), torch.Generator)
    assert (torch.Generator, torch.cuda._lazy_init, torch.autocast.__init__) == before
    assert torch.zeros(2, dtype=torch.float64).dtype == torch.float64


def test_the_table_is_the_installed_torchs() -> None:
    table = kernels.table()
    assert len(table) > 2000
    kinds = {"mm": kernels.NATIVE, "add.Tensor": kernels.NATIVE, "matmul": kernels.COMPOSITE,
             "embedding": kernels.EXPLICIT, "poisson": kernels.MISSING,
             "linalg_lstsq": kernels.MISSING, "col2im": kernels.FALLBACK}
    assert {name: table[name] for name in kinds} == kinds
    # AdamW in one kernel is there; the trainer does not rely on it.
    assert table["_fused_adamw_"] == kernels.NATIVE
