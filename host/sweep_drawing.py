"""Draws batches of cells; what does not fit or fails is drawn in smaller ones, in the end alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from ..core.memory import is_out_of_memory, release_memory
from ..core.protocols import Progress
from ..sweep.batches import evenly
from .cell_sampler import CellSampler
from .preview import to_picture
from .sweep_jobs import Job
from .vae import ComfyVae

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Piece:
    """Cells that were drawn together.

    Attributes:
        jobs: what was drawn; ``way`` and ``reason`` as it came about.
        latents: (N, C, h, w), in the VAE's scale.
        pictures: one per job.
        seconds: for all of them.
    """

    jobs: tuple[Job, ...]
    latents: torch.Tensor
    pictures: tuple[Image.Image, ...]
    seconds: float


@dataclass(frozen=True)
class Failure:
    """A cell that could not be drawn, not even alone."""

    job: Job
    error: str


@dataclass
class BatchDrawer:
    """Draws and decodes.

    Attributes:
        sampler: draws latents.
        vae: decodes them.
        progress: hears Cancel.
        on_step: step and number of cells, after every sampling step.
        most: cells that fit into memory, as far as is known.
    """

    sampler: CellSampler
    vae: ComfyVae
    progress: Progress
    on_step: OnStep
    most: int = 1 << 30

    def draw(self, jobs: Sequence[Job]) -> Iterator[Piece | Failure]:
        """Draw jobs of one batch; running out of memory halves this batch and all later ones."""
        if len(jobs) > self.most:
            for part in evenly(jobs, self.most):
                yield from self.draw(part)
            return
        drawn = self._try(jobs)
        if isinstance(drawn, Piece):
            yield drawn
        elif is_out_of_memory(drawn) and len(jobs) > 1:
            release_memory()
            self.most = len(jobs) // 2
            yield from self.draw(jobs)
        elif jobs[0].way == "alone":
            yield Failure(jobs[0], str(drawn) or type(drawn).__name__)
        else:
            yield from self.draw_alone(jobs, f"its batch failed: {drawn}")

    def draw_alone(self, jobs: Sequence[Job], reason: str = "") -> Iterator[Piece | Failure]:
        """One by one, ordered so that the weights are patched once per LoRA and strength."""
        for job in sorted(jobs, key=lambda job: job.cell.settings.strength):
            own = Job(job.cell, job.twins, "alone", reason or job.reason)
            yield from self.draw([own])

    def attempt(self, jobs: Sequence[Job]) -> torch.Tensor | Exception:
        """Latents, (N, C, h, w), or what went wrong, without the memory that it holds."""
        cells = [job.cell for job in jobs]
        beside = jobs[0].way == "batched"
        draw = self.sampler.draw_beside if beside else self.sampler.draw_patched
        return self._caught(lambda: draw(cells, lambda step: self.on_step(step, len(cells))))

    def _try(self, jobs: Sequence[Job]) -> Piece | Exception:
        """Draw and decode together."""
        self.progress.check_cancelled()
        started = time.monotonic()
        latents = self.attempt(jobs)
        if isinstance(latents, Exception):
            return latents
        pixels = self._caught(lambda: self.vae.decode_raw(latents))
        if isinstance(pixels, Exception):
            return pixels
        pictures = tuple(to_picture(own) for own in pixels)
        return Piece(tuple(jobs), latents, pictures, time.monotonic() - started)

    def _caught(self, work: Callable[[], torch.Tensor]) -> torch.Tensor | Exception:
        try:
            return work()
        except Exception as error:
            if self.progress.is_cancellation(error):
                raise
            # Its frames hold the tensors that did not fit.
            return error.with_traceback(None)
