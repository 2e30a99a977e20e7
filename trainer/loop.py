"""The training loop: whole steps, saved often, stopped at any time without loss."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from PIL import Image

from ..core import atomic
from ..core.errors import HostError
from ..core.errors import TrainingDiverged as Diverged
from ..core.memory import is_out_of_memory, release_memory
from ..core.protocols import Progress
from .batches import BatchPlan, Sample
from .config import TrainSettings
from .runs import Run
from .state import TrainState
from .step import StepRunner

BAD_STEPS_TO_STOP = 3
LONGEST_UNSAVED_S = 600.0
"""A slow machine may take an hour from checkpoint to checkpoint; a power cut costs less."""


@dataclass
class Loop:
    """Everything a stretch of training needs.

    Attributes:
        settings: the run's settings.
        run: where metrics and checkpoints go.
        state: what changes.
        runner: computes losses and gradients.
        plan: which pictures are in which step.
        progress: tells the person, and hears Cancel.
        on_checkpoint: publishes the LoRA of a step.
        store_less: makes a pass need less memory at the same result; False when it cannot.
        picture: the latest preview, shown with the progress.
    """

    settings: TrainSettings
    run: Run
    state: TrainState
    runner: StepRunner
    plan: BatchPlan
    progress: Progress
    on_checkpoint: Callable[[int], None]
    store_less: Callable[[], bool]
    picture: Image.Image | None = None
    _saved_at: float = field(default_factory=time.monotonic)

    def advance(self, until: int) -> None:
        """Train up to step ``until``."""
        while self.state.step < until:
            self._step()
            self.progress.update(self.state.step, self.settings.steps, picture=self.picture)
            if self._is_due(self.settings.checkpoint_every):
                self.save()
            elif time.monotonic() - self._saved_at > LONGEST_UNSAVED_S:
                self._save_state()

    def save(self) -> None:
        """Checkpoint the current step and publish its LoRA."""
        self._save_state()
        self.on_checkpoint(self.state.step)

    def _save_state(self) -> None:
        self.state.save(self.run.checkpoints)
        self._saved_at = time.monotonic()

    def save_after_failure(self) -> None:
        """Keep what was learned when training ends early.

        Only whole steps count, and gradients of a broken step are dropped.
        """
        self.state.optimizer.zero_grad(set_to_none=True)
        if self.state.step > 0:
            self.save()

    def _is_due(self, every: int) -> bool:
        step = self.state.step
        return every > 0 and step % every == 0 and step < self.settings.steps

    def _step(self) -> None:
        started = time.monotonic()
        step = self.state.step
        loss = self._gradients(self.plan.step(step), step)
        parameters = self.state.adapter.parameters()
        finite = self.state.scale.unscale(parameters) and math.isfinite(loss)
        norm = self._clip(parameters) if finite else math.nan
        rate = self.state.optimizer.param_groups[0]["lr"]
        if finite:
            self.state.optimizer.step()
        self._step_schedule(skipped=not finite)
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        self._record(step, loss, rate, norm, finite, time.monotonic() - started)
        self._judge(finite)

    def _gradients(self, batches: list[list[Sample]], step: int) -> float:
        """Accumulate the step's gradients, in smaller parts when memory runs out."""
        while True:
            try:
                return self.runner.backward(
                    batches, step, self.state.scale.scale, self.progress.check_cancelled
                )
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                # Its frames hold the activations that did not fit.
                failure = error.with_traceback(None)
            self.state.optimizer.zero_grad(set_to_none=True)
            release_memory()
            self._need_less_memory(failure)

    def _need_less_memory(self, failure: RuntimeError) -> None:
        if self.runner.microbatch_limit > 1:
            self.runner.microbatch_limit //= 2
            way = f"{self.runner.microbatch_limit} pictures per pass"
        elif self.store_less():
            way = "blocks recomputed in the backward pass (slower)"
        else:
            raise HostError(
                "The device ran out of memory with a single picture per pass",
                expected="enough memory for one picture",
                remedy="Set checkpoint_activations to auto, lower the resolution or the rank, or "
                "close other programs",
            ) from failure
        self.progress.say(f"Out of memory: going on with {way}; the result stays the same.")

    def _clip(self, parameters: list[torch.nn.Parameter]) -> float:
        limit = self.settings.max_grad_norm or math.inf
        return float(torch.nn.utils.clip_grad_norm_(parameters, limit))

    def _step_schedule(self, skipped: bool) -> None:
        """Move the rate on, after a skipped step too: it is a function of the step's number."""
        with warnings.catch_warnings():
            if skipped:  # torch takes a first step that was skipped for a mistake in the order
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler")
            self.state.schedule.step()

    def _judge(self, finite: bool) -> None:
        """Skip a step that overflowed; stop when it is no overflow but a divergence."""
        overflow_is_normal = self.state.scale.enabled and not self.state.scale.exhausted
        self.state.scale.update(finite)
        if finite or overflow_is_normal:
            self.state.bad_steps = 0
            return
        self.state.bad_steps += 1
        if self.state.bad_steps >= BAD_STEPS_TO_STOP:
            raise Diverged(
                f"The loss was no number {BAD_STEPS_TO_STOP} times in a row, last at step "
                f"{self.state.step}. Expected finite losses. The LoRA before that is saved; lower "
                "the learning rate, or choose fp32 precision, and train again."
            )

    def _record(
        self, step: int, loss: float, rate: float, norm: float, finite: bool, seconds: float
    ) -> None:
        entry = {
            "step": step + 1,
            "loss": loss if math.isfinite(loss) else None,
            "learning_rate": rate,
            "grad_norm": norm if math.isfinite(norm) else None,
            "skipped": not finite,
            "loss_scale": self.state.scale.scale,
            "seconds": round(seconds, 4),
        }
        atomic.append_line(self.run.metrics_path, json.dumps(entry))
