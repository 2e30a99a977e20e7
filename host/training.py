"""Brings a MODEL, CLIP, VAE and dataset of a graph together with the trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import comfy.sd
import comfy.utils
import torch

from ..core.protocols import Progress
from ..core.settings import as_dict, identity_dict
from ..dataset.bucket_settings import BucketChoices
from ..dataset.fault_book import without_faults
from ..dataset.items import Dataset
from ..dataset.lint.gate import STOP, require_sound
from ..dataset.manifest import manifest_of
from ..dataset.prepare import TrainingSet, prepare
from ..lora_format.family import Family
from ..lora_format.training import Variant
from ..trainer.adapter_settings import AdapterSettings
from ..trainer.config import TrainSettings
from ..trainer.job import TrainJob, TrainResult, finished_result, require_libraries
from ..trainer.objective_settings import ObjectiveSettings
from ..trainer.parts import choose_parts
from ..trainer.recipe import make_recipe
from ..trainer.runs import Run, open_run
from ..trainer.side_lora import SideLora
from ..trainer.train import train
from . import paths
from .bound_dataset import bind_dataset
from .caches import training_store
from .capabilities import auto_precision, describe
from .identity import model_identity
from .model import ComfyDenoiser, family_of, require_precision, require_trainable
from .model_kind import variant_of
from .preview import ComfySampler
from .sampling_law import with_chosen_sampling
from .text import ComfyTextEncoder
from .training_adapter import NONE, read_training_adapter
from .vae import ComfyVae

TRAINER_VERSION = 2
"""Raised when the same settings would train another LoRA than before."""


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What the node was given."""

    model: Any
    clip: Any
    vae: Any
    dataset: Dataset
    settings: TrainSettings
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    buckets: BucketChoices = field(default_factory=BucketChoices)
    training_adapter: str = NONE
    dataset_errors: str = STOP


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """What the node hands on."""

    run: Run
    result: TrainResult
    model: Any


def train_in_comfy(request: TrainRequest, progress: Progress) -> TrainOutcome:
    """Prepare the pictures, train or return the finished run, and apply the LoRA.

    Raises:
        KilnError: bad input, told so that a person can mend it.
    """
    with torch.inference_mode(False):
        return _train(request, progress)


def _train(request: TrainRequest, progress: Progress) -> TrainOutcome:
    settings = request.settings
    label = paths.check_run_name(settings.run_name)
    family = family_of(request.model)
    precision = settings.precision
    if precision == "auto":
        precision = auto_precision(request.model.load_device)
    require_precision(precision, request.model.load_device)
    require_trainable(request.model)
    model = with_chosen_sampling(request.model, request.objective)
    variant = variant_of(model, family, request.objective.model_kind)
    denoiser = ComfyDenoiser(model, precision, guidance=variant.guidance)
    # Whatever would be refused is refused now, before pictures are encoded and a run is begun.
    recipe = make_recipe(request.objective, denoiser.sampling, variant, family.training.patch)
    parts = choose_parts(
        denoiser.modules(), family, request.adapter,
        rank=settings.rank, alpha=settings.effective_alpha,
    )
    side, side_hash = _training_adapter(request)
    require_libraries()
    if request.dataset_errors == STOP:
        require_sound(request.dataset, progress)
    vae = ComfyVae(request.vae, model)
    pictures = _prepare(request, family, vae, progress)
    base = model_identity(request.model)
    run = open_run(
        paths.runs_folder(),
        label,
        {
            "trainer": TRAINER_VERSION,
            "settings": identity_dict(settings),
            "objective": identity_dict(request.objective),
            "adapter": identity_dict(request.adapter),
            "levels": recipe.describe(),
            "training_adapter": side_hash,
            "precision": precision,
            "model": base.digest,
            "pictures": pictures.fingerprint,
        },
        {
            "settings": as_dict(settings),
            "objective": as_dict(request.objective),
            "adapter": as_dict(request.adapter),
            "buckets": as_dict(request.buckets),
            "recipe": {**recipe.describe(), "reason": recipe.reason},
            "model_kind": variant.title,
            "host": describe(),
            "captions": _captions(pictures),
            "dataset": {"name": request.dataset.name, "state": pictures.dataset_state},
            "notes": list(pictures.notes),
        },
        published=paths.published_loras_folder(),
    )
    changed = bind_dataset(run, manifest_of(request.dataset), paths.runs_folder(), label)
    if not base.reusable:
        progress.say("This run cannot be continued later: " + "; ".join(base.reasons))
    result = finished_result(run, family, paths.lora_name_for_loader)
    if result is None:
        notes = [*_kind_notes(variant, side_hash), *pictures.notes, *changed]
        if notes:
            progress.say("\n".join(notes))
        job = TrainJob(
            settings=settings,
            precision=precision,
            denoiser=denoiser,
            family=family,
            recipe=recipe,
            parts=parts,
            side=side,
            preview=variant.preview,
            pictures=pictures,
            run=run,
            sampler=ComfySampler(
                denoiser.patcher, request.clip, vae, settings.caption_chunks
            ),
            progress=progress,
            loras=paths.published_loras_folder(),
            loader_name=paths.lora_name_for_loader,
            base_hash=base.digest,
        )
        result = _train_now(job, denoiser)
    return TrainOutcome(run=run, result=result, model=_apply(model, result))


def _training_adapter(request: TrainRequest) -> tuple[dict[str, SideLora], str]:
    if request.training_adapter == NONE:
        return {}, ""
    return read_training_adapter(request.training_adapter, request.model)


def _kind_notes(variant: Variant, side_hash: str) -> list[str]:
    """What a person should know about training this kind of model."""
    if not variant.warning or (variant.adapter_helps and side_hash):
        return []
    return [variant.warning]


def _train_now(job: TrainJob, denoiser: ComfyDenoiser) -> TrainResult:
    try:
        denoiser.settle()
        return train(job)
    finally:
        denoiser.release()


def _prepare(
    request: TrainRequest, family: Family, vae: ComfyVae, progress: Progress
) -> TrainingSet:
    dataset = request.dataset
    if request.dataset_errors != STOP:
        dataset = without_faults(dataset)
    return prepare(
        dataset,
        buckets=request.buckets.at(
            request.settings.resolution, family.training.bucket_step_px
        ),
        vae=vae,
        text=ComfyTextEncoder(request.clip, request.settings.caption_chunks),
        store=training_store(),
        progress=progress,
        mirror=request.settings.mirror,
    )


def _captions(pictures: TrainingSet) -> dict[str, str]:
    return {item.name: item.caption for item in pictures.items}


def _apply(model: Any, result: TrainResult) -> Any:
    """The MODEL with the published file applied by the stock code path."""
    tensors = comfy.utils.load_torch_file(str(result.lora.path), safe_load=True)
    patched, _ = comfy.sd.load_lora_for_models(model, None, tensors, 1.0, 0.0)
    return patched
