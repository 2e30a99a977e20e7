"""A tiny model made ready for a training step, as ``trainer.train`` makes it ready.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from lora_kiln.core.attach import Attachment
from lora_kiln.core.protocols import ImageGeometry, TextEmbedding
from lora_kiln.core.seeds import generator
from lora_kiln.dataset.prepare import TrainingItem
from lora_kiln.host.model import ComfyDenoiser, family_of
from lora_kiln.host.model_kind import variant_of
from lora_kiln.trainer.activations import checkpoint_blocks
from lora_kiln.trainer.adapter import LoraAdapter
from lora_kiln.trainer.adapter_settings import AdapterSettings
from lora_kiln.trainer.batches import Sample
from lora_kiln.trainer.frozen import attach_frozen
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.parts import choose_parts
from lora_kiln.trainer.recipe import make_recipe
from lora_kiln.trainer.side_lora import SideLora, attach_side
from lora_kiln.trainer.step import StepRunner
from lora_kiln.trainer.views import make_views

GEOMETRY = ImageGeometry(
    original_width_px=96, original_height_px=72, crop_left_px=4, crop_top_px=0,
    target_width_px=80, target_height_px=64,
)


@dataclass(frozen=True)
class Bench:
    """What a step needs, attached and loaded."""

    denoiser: ComfyDenoiser
    adapter: LoraAdapter
    runner: StepRunner

    def samples(self) -> list[Sample]:
        """Every picture once."""
        return [Sample(index, index) for index in range(len(self.runner.views))]

    def gradients(self, losses: torch.Tensor, scale: float = 1.0) -> dict[str, torch.Tensor]:
        """Gradients of a sum of losses with respect to the adapter; none are left behind."""
        named = dict(self.adapter.named_parameters())
        found = torch.autograd.grad(losses.sum() * scale, list(named.values()))
        return dict(zip(named, found, strict=True))


def item_of(
    embedding: TextEmbedding, index: int, *, channels: int = 4, size: tuple[int, int] = (8, 10)
) -> TrainingItem:
    """A picture that is noise, with a caption."""
    latent = torch.randn(channels, *size, generator=generator(index, "latent"))
    return TrainingItem(str(index), latent, GEOMETRY, embedding, str(index), 1.0)


@contextmanager
def bench(
    model: Any,
    items: Sequence[TrainingItem],
    *,
    precision: str = "fp32",
    recompute: bool = False,
    targets: str = "auto",
    side: Mapping[str, SideLora] | None = None,
    empty: TextEmbedding | None = None,
    dropout: float = 0.0,
) -> Iterator[Bench]:
    """Everything attached as in a run, with factors that change what the model computes."""
    with torch.inference_mode(False), torch.enable_grad(), Attachment() as attachment:
        family = family_of(model)
        variant = variant_of(model, family)
        denoiser = ComfyDenoiser(model, precision, guidance=variant.guidance)
        recipe = make_recipe(
            ObjectiveSettings(), denoiser.sampling, variant, family.training.patch
        )
        parts = choose_parts(
            denoiser.modules(), family, AdapterSettings(targets=targets), rank=4, alpha=4.0
        )
        adapter = LoraAdapter(parts, denoiser.weights, seed=3, device=denoiser.device)
        fill_ups(adapter)
        denoiser.settle()
        runner = StepRunner(
            denoiser=denoiser, recipe=recipe, views=make_views(denoiser, items, empty), seed=5,
            microbatch_limit=len(items), caption_dropout=dropout,
        )
        adapter.attach(attachment)
        trained = {id(part.module) for part in parts.values()}
        others = [m for m in denoiser.modules().values() if id(m) not in trained]
        try:
            with denoiser.loaded(0.0), Attachment() as inside:
                attach_frozen(inside, others, denoiser.weights)
                attach_side(inside, side or {}, denoiser.modules())
                if recompute:
                    assert checkpoint_blocks(inside, denoiser, family) > 0
                yield Bench(denoiser, adapter, runner)
        finally:
            attachment.restore()
            denoiser.release()


def fill_ups(adapter: LoraAdapter, size: float = 0.05) -> None:
    """Give the ``up`` factors values, which begin as zero."""
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            if name.endswith(".up"):
                draw = torch.randn(parameter.shape, generator=generator(name, "up"))
                parameter.copy_(size * draw)


def worst(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> float:
    """Largest relative difference of a set of tensors.

    One that is all but zero beside the others is measured against a hundredth of the longest: a
    gradient may vanish but for rounding (what is added to a channel before that channel's norm).
    """
    assert found.keys() == wanted.keys()
    least = 1e-2 * max(float(value.norm()) for value in wanted.values())
    return max(
        float((found[name] - value).norm()) / max(float(value.norm()), least)
        for name, value in wanted.items()
    )


def whole(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> float:
    """Relative difference of all tensors taken as one."""
    assert found.keys() == wanted.keys()
    one, two = (torch.cat([part[name].flatten() for name in wanted]) for part in (found, wanted))
    return float((one - two).norm() / two.norm())
