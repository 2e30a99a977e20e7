"""Z-Image in fp16: what would overflow is held, what must be fp32 is, and steps that still
overflow are skipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lora_kiln.core.protocols import TextEmbedding

Train = Callable[..., Any]


@pytest.fixture
def loud(tiny_zimage_demo: Any) -> Any:
    """A Z-Image whose feed-forward products are beyond fp16, as those of the real one are.

    Not in the context refiner: there the host itself leaves the second product unheld.
    """
    with torch.inference_mode():
        for name, tensor in tiny_zimage_demo.model.model.diffusion_model.named_parameters():
            inner = name.endswith(("feed_forward.w1.weight", "feed_forward.w3.weight"))
            if inner and not name.startswith("context_refiner"):
                tensor.mul_(4000.0)
    return tiny_zimage_demo


def two_pictures() -> list[Any]:
    from lora_kiln.tests.host.one_step import item_of

    return [
        item_of(
            TextEmbedding(torch.randn(1, n, 32), None, {"attention_mask": torch.ones(1, n)}),
            index, channels=16,
        )
        for index, n in enumerate((12, 40))
    ]


class Watch:
    """What the network computes with on the way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import comfy.ldm.lumina.model as lumina
        import comfy.ldm.modules.diffusionmodules.mmdit as mmdit

        self.times: list[torch.dtype] = []
        self.turns: list[torch.dtype] = []
        self.products: list[float] = []
        self.tokens: set[torch.dtype] = set()
        embed, rope, gate = mmdit.timestep_embedding, lumina.apply_rope, lumina.clamp_fp16

        def embedding(times: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            result: torch.Tensor = embed(times, *args, **kwargs)
            self.times += [times.dtype, result.dtype]
            return result

        def turned(q: torch.Tensor, k: torch.Tensor, turns: torch.Tensor) -> Any:
            self.turns.append(turns.dtype)
            self.tokens.add(q.dtype)
            return rope(q, k, turns)

        def clamped(values: torch.Tensor) -> torch.Tensor:
            self.products.append(float(values.detach().abs().max()))
            return gate(values)

        monkeypatch.setattr(mmdit, "timestep_embedding", embedding)
        monkeypatch.setattr(lumina, "apply_rope", turned)
        monkeypatch.setattr(lumina, "clamp_fp16", clamped)


def test_a_pass_is_finite_and_the_rest_is_fp32(
    loud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.tests.host.one_step import bench
    from lora_kiln.trainer.step import StepRunner

    watch = Watch(monkeypatch)
    told: list[Any] = []
    plain = StepRunner.losses_at

    def losses_at(self: Any, samples: Any, conds: Any, noise: Any, shown: Any, sigma: Any) -> Any:
        result = plain(self, samples, conds, noise, shown, sigma)
        told.append((noise.dtype, sigma.dtype, result.dtype))
        return result

    monkeypatch.setattr(StepRunner, "losses_at", losses_at)
    with bench(loud.model, two_pictures(), precision="fp16", targets="all") as ready:
        losses = ready.runner.losses(ready.samples(), 0, 2)
        gradients = ready.gradients(losses)
        assert {p.dtype for p in ready.adapter.parameters()} == {torch.float32}
    assert bool(torch.isfinite(losses).all())
    assert all(bool(torch.isfinite(value).all()) for value in gradients.values())
    # What lies before a product that is held learns nothing from it; attention stands beside it.
    assert all(float(v.abs().max()) > 0 for k, v in gradients.items() if ".attention." in k)
    # Without the clamp there would be an infinity.
    assert math.inf in watch.products
    assert watch.tokens == {torch.float16}
    assert set(watch.times) == {torch.float32}
    assert set(watch.turns) == {torch.float32}
    assert told == [(torch.float32, torch.float64, torch.float32)] * len(told)


def test_fp16_says_the_same_as_fp32(tiny_zimage_demo: Any) -> None:
    from lora_kiln.tests.host.one_step import bench

    items, found = two_pictures(), {}
    for precision in ("fp32", "fp16"):
        with bench(tiny_zimage_demo.model, items, precision=precision, targets="all") as ready:
            losses = ready.runner.losses(ready.samples(), 0, 2)
            gradients = ready.gradients(losses, scale=2.0**14)
            found[precision] = losses.detach(), gradients
    (wanted, true), (half, scaled) = found["fp32"], found["fp16"]
    torch.testing.assert_close(half, wanted, rtol=5e-3, atol=0)
    one, two = (torch.cat([g[name].flatten() for name in true]) for g in (true, scaled))
    assert float((one - two).norm() / one.norm()) < 0.02


def test_training_skips_what_overflows_and_halves_the_scale(
    loud: Any, train: Train, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, where people are refused fp16 because it crawls."""
    from lora_kiln.host import training
    from lora_kiln.trainer.step import StepRunner

    monkeypatch.setattr(training, "require_precision", lambda *_: None)
    plain = StepRunner.losses

    def forced(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        losses = plain(self, samples, step, total)
        assert bool(torch.isfinite(losses).all())
        # The gradient on its way back is fp16: scaled by this it is infinite.
        return losses * 1e9 if step in (1, 2) else losses

    monkeypatch.setattr(StepRunner, "losses", forced)
    outcome = train(
        of=loud, dataset=replace(pictures, items=pictures.items[3:]), precision="fp16", steps=6,
        batch_size=1, checkpoint_every=0,
    )
    metrics = outcome.result.metrics
    assert [entry["skipped"] for entry in metrics] == [False, True, True, False, False, False]
    assert [entry["loss_scale"] / 2**12 for entry in metrics] == [4, 4, 2, 1, 1, 1]
    saved = load_file(outcome.result.lora.path)
    assert {tensor.dtype for tensor in saved.values()} == {torch.float16}
    assert all(bool(torch.isfinite(tensor).all()) for tensor in saved.values())
    assert all(math.isfinite(entry["loss"]) for entry in metrics)


def test_one_picture_is_learned_in_fp16(
    tiny_zimage_demo: Any, train: Train, pictures: Any, monkeypatch: pytest.MonkeyPatch,
    photograph: Any,
) -> None:
    import comfy.model_management

    from lora_kiln.host import training
    from lora_kiln.trainer.adapter_settings import AdapterSettings

    monkeypatch.setattr(training, "require_precision", lambda *_: None)
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([tiny_zimage_demo.model])
    before = photograph(tiny_zimage_demo.model)
    result = train(
        of=tiny_zimage_demo, dataset=replace(pictures, items=pictures.items[3:]), steps=60,
        learning_rate=5e-3, rank=32, batch_size=1, checkpoint_every=0, precision="fp16",
        also={"adapter": AdapterSettings(targets="all")},
    ).result
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([tiny_zimage_demo.model])
    assert photograph(tiny_zimage_demo.model) == before
    assert not any(entry["skipped"] for entry in result.metrics)
    assert result.probe_end < 0.7 * result.probe_start


