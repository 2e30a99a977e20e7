"""Which pictures a sweep needs, and in which way each is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..sweep.cells import Cell, SweepPlan
from . import parity
from .cell_sampler import CellSampler
from .cell_store import CellStore, StoredCell
from .identity import compute_dtype_of

SERVES = {"batched": ("batched", "alone"), "patched": ("patched", "alone"), "alone": ("alone",)}
"""Ways whose finished cells are as good as those of a way."""


@dataclass(frozen=True)
class Job:
    """One picture to draw.

    Attributes:
        cell: the first cell that shows it, with settled settings.
        twins: indexes of all cells that show it.
        way: ``batched``, ``patched`` or ``alone``.
        reason: why it is not batched; empty when it is.
    """

    cell: Cell
    twins: tuple[int, ...]
    way: str = "batched"
    reason: str = ""


def jobs_of(plan: SweepPlan, sampler: CellSampler, store: CellStore, mode: str) -> list[Job]:
    """One job for each picture that differs from the others.

    Raises:
        ConfigError: a cell asks for what the model does not have.
        LoraFormatError: a LoRA cannot be read or fits nothing.
    """
    first: dict[Any, Cell] = {}
    twins: dict[int, list[int]] = {}
    for cell in plan.drawn:
        sampler.check_blocks(cell.settings)
        settled = replace(cell, settings=sampler.settled(cell.settings))
        job = first.setdefault(settled.settings, settled)
        twins.setdefault(job.index, []).append(cell.index)
    jobs = [
        Job(cell, tuple(twins[cell.index]), *_way_of(cell, sampler, mode))
        for cell in first.values()
    ]
    batched = [job for job in jobs if job.way == "batched"]
    if mode == "batched" or not batched:
        return jobs
    way, reason = _stored_way(batched, sampler, store)
    return [replace(j, way=way, reason=reason) if j.way == "batched" else j for j in jobs]


def stored_cell(job: Job, store: CellStore) -> StoredCell | None:
    """The finished cell of a job, from this or a former sweep."""
    found = (store.find(job.cell.settings, way) for way in SERVES[job.way])
    return next((cell for cell in found if cell is not None), None)


def _way_of(cell: Cell, sampler: CellSampler, mode: str) -> tuple[str, str]:
    if obstacle := sampler.why_alone(cell.settings):
        return "alone", obstacle
    if obstacle := sampler.why_patched(cell.settings):
        return "patched", obstacle
    # Without a LoRA there is nothing to patch.
    exact = mode == "exact" and cell.settings.has_lora
    return ("patched", "exact mode") if exact else ("batched", "")


def _stored_way(
    jobs: Sequence[Job], sampler: CellSampler, store: CellStore
) -> tuple[str, str]:
    """The way in which most are there already: auto may have left the batches for good reason."""
    found = {way: [store.find(job.cell.settings, way) for job in jobs] for way in SERVES}
    counts = {way: sum(cell is not None for cell in cells) for way, cells in found.items()}
    limit = parity.limit_of(compute_dtype_of(sampler.model))
    differs = any(c is not None and (c.record["parity"] or 0) > limit for c in found["batched"])
    stricter = max(("patched", "alone"), key=lambda way: counts[way])
    if counts[stricter] and (differs or counts[stricter] >= counts["batched"]):
        return stricter, f"so most of the cells were drawn before ({stricter})"
    return ("patched", "batched cells differed before") if differs else ("batched", "")
