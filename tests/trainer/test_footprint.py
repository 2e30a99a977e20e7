"""What is measured on small pictures tells what a large one will keep."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from lora_kiln.core.attach import Attachment
from lora_kiln.dataset.prepare import TrainingItem
from lora_kiln.trainer import footprint
from lora_kiln.trainer.adapter import LoraAdapter
from lora_kiln.trainer.adapter_settings import AdapterSettings
from lora_kiln.trainer.footprint import Growth, measure
from lora_kiln.trainer.frozen import attach_frozen
from lora_kiln.trainer.parts import choose_parts
from lora_kiln.trainer.views import View, make_views


def view_of(second: ModuleType, denoiser: Any, side: int) -> View:
    item = TrainingItem(
        name="one", latent=torch.randn(4, side, side), geometry=second.geometry(),
        embedding=second.embedding(0), caption="one", weight=1.0,
    )
    return make_views(denoiser, [item])[0][0]


def measured(second: ModuleType, denoiser: Any, view: View) -> Any:
    parts = choose_parts(denoiser.modules(), second.FAMILY, AdapterSettings(), rank=2, alpha=2)
    adapter = LoraAdapter(parts, denoiser.weights, seed=0, device=torch.device("cpu"))
    targeted = {id(part.module) for part in parts.values()}
    with Attachment() as attachment:
        adapter.attach(attachment)
        others = [m for m in denoiser.modules().values() if id(m) not in targeted]
        attach_frozen(attachment, others, denoiser.weights)
        return measure(denoiser, second.FAMILY, view, seed=1)


def test_small_pictures_tell_of_a_large_one(
    second: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoiser = second.DiffusersDenoiser(second.make_unet())
    large = view_of(second, denoiser, 96)
    found = measured(second, denoiser, large)
    monkeypatch.setattr(footprint, "_sides", lambda smallest: [smallest])
    whole = measured(second, denoiser, large)
    cells = 96 * 96
    # Beyond the 48 cells that are measured; attention's square is a small part at these sizes.
    assert found.kept.at(cells) == pytest.approx(whole.kept.at(cells), rel=0.1)
    assert found.recomputed.at(cells) == pytest.approx(whole.recomputed.at(cells), rel=0.1)
    assert found.recomputed.at(cells) < 0.8 * found.kept.at(cells)


def test_more_pictures_and_longer_sides_need_more(second: ModuleType) -> None:
    denoiser = second.DiffusersDenoiser(second.make_unet())
    found = measured(second, denoiser, view_of(second, denoiser, 16))
    one = found.need((1, 4, 16, 16), recompute=False)
    assert found.need((2, 4, 16, 16), recompute=False) > one
    assert found.need((1, 4, 32, 32), recompute=False) > one
    assert found.need((1, 4, 16, 16), recompute=True) < one


def test_a_measurement_leaves_no_gradient_and_no_trace(second: ModuleType) -> None:
    unet = second.make_unet()
    denoiser = second.DiffusersDenoiser(unet)
    measured(second, denoiser, view_of(second, denoiser, 16))
    assert [name for name, module in unet.named_modules() if "forward" in module.__dict__] == []


def test_what_was_counted_is_let_go() -> None:
    """An operation that keeps its own output must not come to hold itself."""
    meter = footprint._Meter()
    with meter.counting():
        output = torch.ones(4, requires_grad=True).exp()
    kept = weakref.ref(output)
    del output
    gc.collect()
    assert meter.total == 16
    assert kept() is None


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ([(64, 640.0)], Growth(0.0, 10.0, 0.0)),
        ([(16, 260.0), (64, 740.0)], Growth(100.0, 10.0, 0.0)),
        ([(16, 772.0), (64, 8932.0), (256, 133732.0)], Growth(100.0, 10.0, 2.0)),
        # Rounding up to whole tokens must not make the curve bend down.
        ([(16, 260.0), (64, 800.0), (256, 2660.0)], Growth(100.0, 10.0, 0.0)),
    ],
)
def test_curves(points: list[tuple[int, float]], wanted: Growth) -> None:
    found = footprint._growth(points)
    assert replace(found, fixed=0).linear == pytest.approx(wanted.linear)
    assert found.square == pytest.approx(wanted.square)
    assert found.fixed == pytest.approx(wanted.fixed)
