"""What the trainer is given at full size: everything real but pictures and captions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lora_kiln.core.protocols import ImageGeometry, Progress, TextEmbedding
from lora_kiln.core.settings import as_dict, identity_dict
from lora_kiln.dataset.prepare import TrainingItem, TrainingSet
from lora_kiln.host import paths
from lora_kiln.host.identity import model_identity
from lora_kiln.host.model import ComfyDenoiser, family_of, require_precision, require_trainable
from lora_kiln.host.model_kind import variant_of
from lora_kiln.trainer.adapter_settings import AdapterSettings
from lora_kiln.trainer.config import TrainSettings
from lora_kiln.trainer.job import TrainJob
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.parts import choose_parts
from lora_kiln.trainer.recipe import make_recipe
from lora_kiln.trainer.runs import open_run

from .plans import RANK, SIDE_PX, STEPS, Plan


class WatchedDenoiser(ComfyDenoiser):
    """Notes for how many bytes the trainer makes room; compared with what a run really takes."""

    planned_bytes = 0.0

    @contextmanager
    def loaded(self, need_bytes: float) -> Iterator[None]:
        """As it is, and noted."""
        self.planned_bytes = max(self.planned_bytes, need_bytes)
        with super().loaded(need_bytes):
            yield


def job_for(
    plan: Plan, model: Any, denoiser: ComfyDenoiser, preset: str, progress: Progress
) -> TrainJob:
    """The job of a run with one preset, as ``host.training`` would make it without previews."""
    settings = TrainSettings(
        run_name=f"full_size_{preset}", steps=STEPS, rank=RANK, resolution=SIDE_PX,
        precision="bf16", preview_every=0,
    )
    adapter, objective = AdapterSettings(targets=preset), ObjectiveSettings()
    family = family_of(model)
    assert family.name == plan.family and family.training is not None
    require_precision(settings.precision, model.load_device)
    require_trainable(model)
    variant = variant_of(model, family)
    pictures = random_pictures(plan)
    base = model_identity(model)
    run = open_run(
        paths.runs_folder(),
        settings.run_name,
        {"settings": identity_dict(settings), "adapter": identity_dict(adapter),
         "model": base.digest},
        {"settings": as_dict(settings)},
        published=paths.published_loras_folder(),
    )
    return TrainJob(
        settings=settings,
        precision=settings.precision,
        denoiser=denoiser,
        family=family,
        recipe=make_recipe(objective, denoiser.sampling, variant, family.training.patch),
        parts=choose_parts(
            denoiser.modules(), family, adapter,
            rank=settings.rank, alpha=settings.effective_alpha,
        ),
        side={},
        preview=variant.preview,
        pictures=pictures,
        run=run,
        sampler=None,
        progress=progress,
        loras=paths.published_loras_folder(),
        loader_name=paths.lora_name_for_loader,
        base_hash=base.digest,
    )


def random_pictures(plan: Plan) -> TrainingSet:
    """One picture and its caption as VAE and text encoder would have left them: numbers."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    pooled = normal(1, plan.pooled) if plan.pooled else None
    embedding = TextEmbedding(normal(1, *plan.tokens), pooled, {})
    geometry = ImageGeometry(
        original_width_px=SIDE_PX, original_height_px=SIDE_PX, crop_left_px=0, crop_top_px=0,
        target_width_px=SIDE_PX, target_height_px=SIDE_PX,
    )
    latent = normal(plan.channels, SIDE_PX // 8, SIDE_PX // 8)
    item = TrainingItem("random", latent, geometry, embedding, "random", 1.0)
    return TrainingSet((item,), embedding, "random", ())
