"""One cell of every sweep is drawn again as the stock nodes do, and compared."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..core.protocols import Progress
from . import parity
from .cell_sampler import CellSampler
from .sweep_drawing import Failure, Piece
from .sweep_jobs import Job


@dataclass(frozen=True)
class Verdict:
    """What the check found.

    Attributes:
        index: of the cell that was checked.
        note: for the person; empty when nothing was checked.
        difference: as a share of the latent's range, or None.
        stricter: the way in which all cells must be drawn, or empty when this one will do.
    """

    index: int = -1
    note: str = ""
    difference: float | None = None
    stricter: str = ""


def job_to_check(jobs: Sequence[Job]) -> Job | None:
    """A random one in which a LoRA has a part."""
    candidates = [job for job in jobs if job.cell.settings.has_lora]
    if not candidates:
        return None
    return random.Random(jobs[0].cell.settings.seed).choice(candidates)


def stock_latent(
    job: Job, sampler: CellSampler, progress: Progress
) -> torch.Tensor | Verdict:
    """(C, h, w) as the stock loader and sampler draw it alone, or why there is none."""
    index = job.cell.index
    try:
        stock = sampler.draw_patched([job.cell], lambda _step: progress.check_cancelled())[0]
    except Exception as error:
        if progress.is_cancellation(error):
            raise
        text = str(error.with_traceback(None)) or type(error).__name__
        return Verdict(index, f"cell {index} could not be checked: {text}")
    if not torch.isfinite(stock).all():
        return Verdict(index, f"cell {index} cannot be checked: the stock loader gives NaN")
    return stock


def judge(
    job: Job, drawn: Sequence[Piece | Failure], stock: torch.Tensor, dtype: torch.dtype
) -> Verdict:
    """Compare a cell with its stock latent.

    Args:
        job: what was checked.
        drawn: its batch.
        stock: (C, h, w).
        dtype: in which the model computes.
    """
    latent = _latent_of(job, drawn)
    if latent is None:
        return Verdict()
    index, found = job.cell.index, parity.compare(latent, stock, dtype)
    note = (
        f"cell {index} differs from the stock loader by {found.difference:.1e} of the "
        f"latent's range ({found.measure})"
    )
    return Verdict(index, note, found.difference, "" if found.holds else _stricter(job.way, found))


def _latent_of(job: Job, drawn: Sequence[Piece | Failure]) -> torch.Tensor | None:
    """(C, h, w); None where it was drawn as stock does, or not at all."""
    for piece in drawn:
        if isinstance(piece, Piece) and job in piece.jobs:
            as_stock = job.way != "batched" and len(piece.jobs) == 1
            return None if as_stock else piece.latents[piece.jobs.index(job)]
    return None


def _stricter(way: str, found: parity.Parity) -> str:
    if way == "batched":
        return "patched"
    # In half precision a batch rounds otherwise than a single picture; stock's does, too.
    return "" if found.rounds else "alone"
