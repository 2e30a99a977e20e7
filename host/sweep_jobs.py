"""Which pictures a sweep needs, and in which way each is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import LoraFormatError
from ..sweep.cells import Cell, SweepPlan
from . import parity
from .cell_sampler import CellSampler
from .cell_store import CellStore, StoredCell
from .identity import compute_dtype_of

WAYS = ("batched", "patched", "alone")
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
        by_check: whether it is not batched because a batched cell differed from stock.
    """

    cell: Cell
    twins: tuple[int, ...]
    way: str = "batched"
    reason: str = ""
    by_check: bool = False


def jobs_of(
    plan: SweepPlan, sampler: CellSampler, store: CellStore, mode: str
) -> tuple[list[Job], list[tuple[Job, str]]]:
    """One job for each picture that differs from the others, and those that cannot be drawn.

    Raises:
        ConfigError: a cell asks for blocks that the model does not have.
    """
    first: dict[Any, Cell] = {}
    twins: dict[int, list[int]] = {}
    refused: dict[int, str] = {}
    for cell in plan.drawn:
        sampler.check_blocks(cell.settings)
        try:
            settings = sampler.settled(cell.settings)
        except LoraFormatError as error:
            settings, refused[cell.index] = cell.settings, str(error)
        job = first.setdefault(settings, replace(cell, settings=settings))
        twins.setdefault(job.index, []).append(cell.index)
    failed = [(Job(c, tuple(twins[c.index])), refused[c.index])
              for c in first.values() if c.index in refused]
    jobs = [
        Job(cell, tuple(twins[cell.index]), *_way_of(cell, sampler, mode))
        for cell in first.values()
        if cell.index not in refused
    ]
    batched = [job for job in jobs if job.way == "batched" and job.cell.settings.has_lora]
    if mode == "batched" or not batched:
        return jobs, failed
    way, reason = _stored_way(batched, sampler, store)
    if way == "batched":
        return jobs, failed
    stricter = [
        replace(j, way=way, reason=reason, by_check=True) if j.way == "batched" else j
        for j in jobs
    ]
    return stricter, failed


def stored_cell(job: Job, store: CellStore) -> StoredCell | None:
    """The finished cell of a job, from this or a former sweep."""
    settings = job.cell.settings
    # The model alone is the same in every way.
    ways = SERVES[job.way] if settings.has_lora else WAYS
    found = (store.find(settings, way) for way in ways)
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
    """A stricter way where a check has already shown that batches differ from stock."""
    for way in ("alone", "patched"):
        found = (store.find(job.cell.settings, way) for job in jobs)
        if any(cell is not None and cell.record.get("by_check") for cell in found):
            return way, "batched cells differed before"
    limit = parity.limit_of(compute_dtype_of(sampler.model))
    found = (store.find(job.cell.settings, "batched") for job in jobs)
    differs = any(cell is not None and (cell.record["parity"] or 0) > limit for cell in found)
    return ("patched", "batched cells differed before") if differs else ("batched", "")
