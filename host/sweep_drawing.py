"""Draws batches of cells; what does not fit or fails is drawn in smaller ones, in the end alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from PIL import Image

from ..core.memory import is_out_of_memory, release_memory
from ..core.protocols import Progress
from ..sweep.batches import evenly
from .cell_sampler import CellSampler
from .preview import to_picture
from .sweep_jobs import Job
from .vae import ComfyVae

T = TypeVar("T")
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


def _patch_order(job: Job) -> tuple[str, float, str]:
    settings = job.cell.settings
    return settings.lora, settings.strength, settings.blocks


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
            yield from self._sound(drawn)
        elif is_out_of_memory(drawn) and len(jobs) > 1:
            release_memory()
            self.most = len(jobs) // 2
            yield from self.draw(jobs)
        elif jobs[0].way == "alone":
            yield Failure(jobs[0], str(drawn) or type(drawn).__name__)
        else:
            yield from self.draw_alone(jobs, f"its batch failed: {drawn}")

    def _sound(self, piece: Piece) -> Iterator[Piece | Failure]:
        """What of a piece is made of numbers; the rest once more alone."""
        sound = [bool(torch.isfinite(latent).all()) for latent in piece.latents]
        if all(sound):
            yield piece
            return
        good = [number for number, fine in enumerate(sound) if fine]
        if good:
            yield Piece(
                tuple(piece.jobs[n] for n in good), piece.latents[good],
                tuple(piece.pictures[n] for n in good), piece.seconds * len(good) / len(sound),
            )  # fmt: skip
        bad = [job for job, fine in zip(piece.jobs, sound, strict=True) if not fine]
        if bad[0].way == "alone":
            yield Failure(bad[0], "the model gives values that are no numbers (NaN)")
        else:
            yield from self.draw_alone(bad, "its batch gave values that are no numbers (NaN)")

    def draw_alone(self, jobs: Sequence[Job], reason: str = "") -> Iterator[Piece | Failure]:
        """One by one, ordered so that the weights are patched once per LoRA and strength."""
        for job in sorted(jobs, key=_patch_order):
            own = replace(job, way="alone", reason=reason or job.reason)
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
        pictures = self._caught(lambda: tuple(map(to_picture, self.vae.decode_raw(latents))))
        if isinstance(pictures, Exception):
            return pictures
        return Piece(tuple(jobs), latents, pictures, time.monotonic() - started)

    def _caught(self, work: Callable[[], T]) -> T | Exception:
        try:
            return work()
        except Exception as error:
            if self.progress.is_cancellation(error):
                raise
            # Its frames, and those of what led to it, hold the tensors that did not fit.
            error.__context__ = error.__cause__ = None
            return error.with_traceback(None)
