"""A whole run: from prepared pictures and a loaded model to a published LoRA."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..core.attach import Attachment
from ..core.memory import is_out_of_memory
from ..lora_format.published import PublishedLora, file_sha256
from .activations import checkpoint_blocks
from .adapter import LoraAdapter
from .batches import BatchPlan
from .footprint import NOTHING, measure
from .frozen import attach_frozen
from .job import TrainJob, TrainResult, finished_result
from .loop import Loop
from .previews import Previews, preview_prompts
from .probe import probe_loss
from .publish import describe, publish_lora
from .scaling import LossScale
from .schedule import make_optimizer, make_schedule
from .side_lora import attach_side
from .state import TrainState, latest_checkpoint
from .step import StepRunner
from .views import make_views

GROWTH_BYTES = 3 * 4
"""Per trained number, in fp32: its gradient and AdamW's two moments come with the first step."""


def train(job: TrainJob) -> TrainResult:
    """Train, continue or simply return a run.

    Raises:
        TrainingDiverged: the loss was no number three times in a row.
        KilnError: the model or the settings do not fit.
        BaseException: the host's interrupt, after the last whole step was saved.
    """
    finished = finished_result(job.run, job.family, job.loader_name)
    if finished is not None:
        return finished
    with torch.inference_mode(False), torch.enable_grad(), Attachment() as beside:
        return _Training(job, beside).run_to_end()


class _Training:
    """The parts of a run, wired together."""

    def __init__(self, job: TrainJob, beside: Attachment) -> None:
        self.job = job
        settings = job.settings
        self.adapter = LoraAdapter(
            job.parts,
            job.denoiser.weights,
            seed=settings.seed,
            device=job.denoiser.device,
        )
        self.adapter_bytes = GROWTH_BYTES * sum(p.numel() for p in self.adapter.parameters())
        self.footprint, self.recompute = NOTHING, False
        self.state = self._make_state()
        self.runner = self._make_runner()
        self.previews = self._make_previews()
        self.loop = Loop(
            settings=settings,
            run=job.run,
            state=self.state,
            runner=self.runner,
            plan=BatchPlan(
                job.pictures.by_bucket(),
                batch_size=settings.batch_size,
                accumulate=settings.accumulate,
                seed=settings.seed,
                repeats=job.pictures.repeats(),
            ),
            progress=job.progress,
            on_checkpoint=self._publish_checkpoint,
            store_less=self._store_less,
        )
        # Last: from here on the model computes through the adapter.
        self.adapter.attach(beside)

    def run_to_end(self) -> TrainResult:
        """Train stretch by stretch; between stretches the model is free for previews."""
        start_step = self._resume()
        self._plan_memory()
        probe_start = self._probe_start()
        try:
            self._train_stretches()
        except BaseException:
            # Cancel, too: the model is released by now, and the last whole step is kept.
            self._keep_what_was_learned()
            raise
        self.loop.save()
        with self._ready():
            probe_end = probe_loss(self.runner)
        lora = self._publish_final()
        self.job.run.update(
            {
                "finished": True,
                "lora_path": str(lora.path),
                "lora_name": lora.loader_name,
                "lora_sha256": lora.sha256,
                "probe_end": probe_end,
            }
        )
        return TrainResult(
            lora=lora,
            metrics=self.job.run.metrics(),
            probe_start=probe_start,
            probe_end=probe_end,
            trained_steps=self.state.step - start_step,
        )

    def _train_stretches(self) -> None:
        if self.state.step == 0:
            self._preview()
        while self.state.step < self.job.settings.steps:
            with self._ready():
                self.loop.advance(self._next_stop())
            self._preview()

    def _keep_what_was_learned(self) -> None:
        try:
            self.loop.save_after_failure()
        except Exception as error:
            # What ended the training matters more than that its last step could not be kept.
            self.job.progress.say(f"The last step could not be saved: {error}")

    def _plan_memory(self) -> None:
        """Measure what a pass keeps, and choose whether blocks are recomputed."""
        choice = self.job.settings.checkpoint_activations
        self.recompute = False
        views = [view for views in self.runner.views for view in views]
        longest = max(views, key=lambda view: view.item.embedding.tokens.shape[1])
        denoiser, settings = self.job.denoiser, self.job.settings
        try:
            with self._ready():
                self.footprint = measure(denoiser, self.job.family, longest, settings.seed)
        except RuntimeError as error:
            if not is_out_of_memory(error) or choice == "off":
                raise
            self.recompute = True
        else:
            need = self._need(settings.batch_size, recompute=False)
            self.recompute = choice == "on" or (choice == "auto" and not denoiser.fits(need))

    def _make_state(self) -> TrainState:
        optimizer = make_optimizer(self.adapter.groups(), self.job.settings)
        return TrainState(
            step=0,
            adapter=self.adapter,
            optimizer=optimizer,
            schedule=make_schedule(optimizer, self.job.settings),
            scale=LossScale.for_precision(self.job.precision),
        )

    def _make_runner(self) -> StepRunner:
        pictures, dropout = self.job.pictures, self.job.settings.caption_dropout
        empty = pictures.empty_embedding if dropout else None
        return StepRunner(
            denoiser=self.job.denoiser,
            recipe=self.job.recipe,
            views=make_views(self.job.denoiser, pictures.items, empty),
            seed=self.job.settings.seed,
            microbatch_limit=self.job.settings.batch_size,
            caption_dropout=dropout,
        )

    def _make_previews(self) -> Previews | None:
        if self.job.sampler is None or self.job.settings.preview_every == 0:
            return None
        side = self.job.settings.resolution // 16 * 16
        learned = [item for item in self.job.pictures.items if not item.regularisation]
        return Previews(
            sampler=self.job.sampler,
            prompts=preview_prompts(
                self.job.settings, [item.caption for item in learned]
            ),
            settings=self.job.settings,
            usual=self.job.preview,
            folder=self.job.run.samples,
            size_px=(side, side),
        )

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """The model loaded and differentiable; released again for previews."""
        denoiser = self.job.denoiser
        targeted = set(map(id, (part.module for part in self.adapter.parts.values())))
        others = [m for m in denoiser.modules().values() if id(m) not in targeted]
        need = self._need(self.runner.microbatch_limit, recompute=self.recompute)
        with denoiser.loaded(need), Attachment() as attachment:
            attach_frozen(attachment, others, denoiser.weights)
            attach_side(attachment, self.job.side, denoiser.modules())
            if self.recompute:
                checkpoint_blocks(attachment, denoiser, self.job.family)
            self._attachment = attachment
            yield

    def _need(self, pictures: int, *, recompute: bool) -> float:
        """Bytes that the largest pass of so many pictures, and the optimizer, will take."""
        shapes = [tuple(item.latent.shape) for item in self.job.pictures.items]
        largest = (pictures, *max(shapes, key=math.prod))
        return self.adapter_bytes + self.footprint.need(largest, recompute=recompute)

    def _store_less(self) -> bool:
        """Recompute blocks from here on, unless they are or the person forbade it."""
        if self.recompute or self.job.settings.checkpoint_activations == "off":
            return False
        self.recompute = True
        checkpoint_blocks(self._attachment, self.job.denoiser, self.job.family)
        return True

    def _resume(self) -> int:
        checkpoint = latest_checkpoint(self.job.run.checkpoints)
        if checkpoint is not None:
            self.state.load(checkpoint)
            self.job.progress.say(f"Going on from step {self.state.step}.")
        self.job.run.truncate_metrics(self.state.step)
        return self.state.step

    def _probe_start(self) -> float:
        document = self.job.run.document()
        if "probe_start" not in document:
            with self._ready():
                self.job.run.update({"probe_start": probe_loss(self.runner)})
            document = self.job.run.document()
        return float(document["probe_start"])

    def _next_stop(self) -> int:
        every = self.job.settings.preview_every if self.previews else 0
        steps = self.job.settings.steps
        return min(steps, (self.state.step // every + 1) * every) if every else steps

    def _preview(self) -> None:
        if self.previews is not None:
            with torch.no_grad():
                picture = self.previews.draw(self.state.step)
            self.loop.picture = picture
            self.job.progress.update(self.state.step, self.job.settings.steps, picture=picture)

    def _publish_checkpoint(self, step: int) -> None:
        path = self.job.loras / self.job.run.name / f"step_{step:06d}.safetensors"
        self._publish(path, step)

    def _publish_final(self) -> PublishedLora:
        path = self._publish(self.job.loras / f"{self.job.run.name}.safetensors", self.state.step)
        return PublishedLora(
            path=path,
            loader_name=self.job.loader_name(path),
            sha256=file_sha256(path),
            family=self.job.family.name,
            rank=self.adapter.largest_rank,
        )

    def _publish(self, path: Path, step: int) -> Path:
        job = self.job
        regularisation = sum(item.regularisation for item in job.pictures.items)
        metadata = describe(
            job.settings,
            job.family,
            job.recipe,
            run_name=job.run.name,
            dataset_hash=job.pictures.fingerprint,
            dataset_state=job.pictures.dataset_state,
            base_hash=job.base_hash,
            pictures=len(job.pictures.items) - regularisation,
            regularisation=regularisation,
        )
        lora = self.adapter.to_lora(job.family, metadata)
        return publish_lora(lora, path, precision=job.precision, step=step)
