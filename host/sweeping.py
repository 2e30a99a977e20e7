"""Runs a sweep: batches, what to do when one fails, the parity check and the scores."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.errors import HostError
from ..core.memory import is_out_of_memory, release_memory
from ..core.protocols import Progress
from ..sweep.cells import Cell, SweepPlan, batches_of
from ..sweep.table import CellOutcome
from .cell_sampler import CellSampler
from .identity import compute_dtype_of
from .preview import to_picture
from .vae import ComfyVae

MODES = ("auto", "batched", "exact")
PARITY_LIMIT = 1e-4
"""Largest difference to the stock loader, as a share of the latent's range, that auto accepts."""
HALF_PRECISION_LIMITS = {torch.bfloat16: 2e-2, torch.float16: 5e-3}
"""The same, root mean square, where the stock loader merges the LoRA into the weight and rounds.

That costs a bf16 weight more of a weak LoRA's effect than the LoRA beside it loses (see
``benchmarks/low_precision.py``): a difference here is as much stock's as ours.
"""


@dataclass
class SweepRunner:
    """Draws all cells of a plan.

    Attributes:
        sampler: draws latents.
        vae: decodes them.
        progress: tells the person, and hears Cancel.
        mode: ``auto``, ``batched`` or ``exact``.
    """

    sampler: CellSampler
    vae: ComfyVae
    progress: Progress
    mode: str
    latents: dict[int, torch.Tensor] = field(default_factory=dict)
    outcomes: dict[int, CellOutcome] = field(default_factory=dict)
    pictures: dict[int, Image.Image] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _done_steps: int = 0
    _total_steps: int = 1

    def run(self, plan: SweepPlan) -> None:
        """Draw every cell; a failed one is noted and the rest goes on.

        Raises:
            HostError: not a single cell could be drawn.
        """
        lora = self.sampler.lora
        self.notes.append(f"{lora.matched} of {lora.matched + len(lora.unmatched)} keys matched")
        if lora.unmatched:
            self.notes.append(f"keys that fit nothing: {', '.join(lora.unmatched)}")
        way, reason = "batched", ""
        if self.sampler.why_patched() or self.mode == "exact":
            way, reason = "patched", self.sampler.why_patched() or "exact mode"
            self.notes.append(f"LoRA patched into the weights: {reason}")
        self._draw(plan.drawn, way, reason)
        self._refuse_if_nothing(plan)
        self._note_effects(plan)

    def _draw(self, cells: Sequence[Cell], way: str, reason: str) -> None:
        """Draw cells in this way, but those alone that must be."""
        self._total_steps = sum(cell.settings.steps for cell in cells)
        by_obstacle: dict[str, list[Cell]] = {}
        for cell in cells:
            by_obstacle.setdefault(self.sampler.why_alone(cell.settings), []).append(cell)
        self._draw_together(by_obstacle.pop("", []), way, reason)
        for obstacle, group in by_obstacle.items():
            self._draw_alone(group, obstacle)

    def _draw_together(self, cells: Sequence[Cell], way: str, reason: str) -> None:
        """Draw cells in batches; the first batch decides whether the way is good enough."""
        if not cells:
            return
        checked = self._cell_to_check(cells)
        while way != "alone":
            first, *others = self._batches(cells, way, checked)
            self._draw_batch(first, way, reason)
            stricter = self._check_parity(checked, way) if checked in first else None
            if stricter is None:
                for batch in others:
                    self._draw_batch(batch, way, reason)
                return
            difference = self.outcomes[checked.index].parity
            reason = f"{way}, cell {checked.index} differed by {difference:.1e}"
            self.notes.append(f"cells are drawn {stricter}: {reason}")
            self._done_steps -= sum(cell.settings.steps for cell in first)
            way = stricter
        self._draw_alone(cells, reason)

    def _batches(self, cells: Sequence[Cell], way: str, first: Cell) -> list[tuple[Cell, ...]]:
        """Even batches, the one with this cell in front."""
        share = way == "batched" and self.sampler.shares_strength()
        limit = self.sampler.batch_limit
        batches = [tuple(b) for b in batches_of(cells, share_strength=share, limit=limit)]
        return sorted(batches, key=lambda batch: first not in batch)

    def _draw_alone(self, cells: Sequence[Cell], reason: str) -> None:
        # Ordered by strength, so that the weights are patched once per strength.
        for cell in sorted(cells, key=lambda cell: cell.settings.strength):
            error = self._try([cell], "alone", reason)
            if error is not None:
                self._fail(cell, error)

    def _draw_batch(self, cells: Sequence[Cell], way: str, reason: str) -> None:
        """Draw a batch; halve it when memory runs out, and find out which cell spoils it."""
        error = self._try(cells, way, reason)
        if error is None:
            return
        if is_out_of_memory(error) and len(cells) > 1:
            release_memory()
            half = len(cells) // 2
            self._draw_batch(cells[:half], way, reason)
            self._draw_batch(cells[half:], way, reason)
        else:
            self._draw_alone(cells, f"its batch failed: {error}")

    def _try(self, cells: Sequence[Cell], way: str, reason: str) -> Exception | None:
        """Draw and decode cells together; returns what went wrong, without its memory."""
        self.progress.check_cancelled()
        started = time.monotonic()
        try:
            draw = self.sampler.draw_beside if way == "batched" else self.sampler.draw_patched
            latents = draw(cells, lambda step: self._show(step, len(cells)))
            pixels = self.vae.decode_raw(latents)
        except Exception as error:
            if self.progress.is_cancellation(error):
                raise
            # Its frames hold the tensors that did not fit.
            return error.with_traceback(None)
        seconds = round((time.monotonic() - started) / len(cells), 4)
        for position, cell in enumerate(cells):
            self.latents[cell.index] = latents[position]
            self.pictures[cell.index] = to_picture(pixels[position])
            self.outcomes[cell.index] = CellOutcome(way, reason, seconds, batch=len(cells))
        self._advance(cells, self.pictures[cells[-1].index])
        return None

    def _fail(self, cell: Cell, error: Exception) -> None:
        text = str(error) or type(error).__name__
        self.outcomes[cell.index] = CellOutcome("failed", "", 0.0, error=text)
        self.latents.pop(cell.index, None)
        self.pictures.pop(cell.index, None)
        self.notes.append(f"cell {cell.index} failed: {text}")
        self._advance([cell], None)

    def _advance(self, cells: Sequence[Cell], picture: Image.Image | None) -> None:
        self._done_steps += sum(cell.settings.steps for cell in cells)
        self.progress.update(self._done_steps, self._total_steps, picture=picture)

    def _show(self, step: int, cells: int) -> None:
        self.progress.check_cancelled()
        done = self._done_steps + (step + 1) * cells
        self.progress.update(min(done, self._total_steps), self._total_steps)

    def _refuse_if_nothing(self, plan: SweepPlan) -> None:
        if self.pictures:
            return
        raise HostError(
            f"None of the {len(plan.cells)} cells could be drawn; the first one failed with: "
            f"{self.outcomes[plan.cells[0].index].error}",
            expected="the model to draw with these settings",
            remedy="Try the same prompt, size and sampler with the stock KSampler node",
        )

    def _cell_to_check(self, cells: Sequence[Cell]) -> Cell:
        """A random cell, one in which the LoRA has a part where there is one."""
        candidates = [cell for cell in cells if cell.settings.strength != 0] or list(cells)
        return random.Random(cells[0].settings.seed).choice(candidates)

    def _check_parity(self, cell: Cell, way: str) -> str | None:
        """Draw a cell again with the stock loader and sampler alone.

        Returns the way that all cells must be drawn in, or None when this one is good enough.
        """
        outcome = self.outcomes[cell.index]
        if outcome.mode != way or (way == "patched" and outcome.batch == 1):
            return None
        stock = self._stock_latent(cell)
        if stock is None:
            return None
        difference, limit, stated = self._difference(self.latents[cell.index], stock)
        self._replace(cell, parity=difference)
        self.notes.append(
            f"cell {cell.index} differs from the stock loader by {difference:.1e} of the "
            f"latent's range ({stated})"
        )
        if difference <= limit or self.mode != "auto":
            return None
        if way == "batched":
            return "patched"
        # In half precision a batch rounds otherwise than a single picture; stock's does, too.
        return "alone" if stated.endswith("float32") else None

    def _stock_latent(self, cell: Cell) -> torch.Tensor | None:
        """(C, h, w) as the stock nodes draw it, or None with a note of what went wrong."""
        try:
            stock = self.sampler.draw_patched([cell], lambda _step: self.progress.check_cancelled())
        except Exception as error:
            if self.progress.is_cancellation(error):
                raise
            text = str(error.with_traceback(None)) or type(error).__name__
            self.notes.append(f"cell {cell.index} could not be checked: {text}")
            return None
        if not torch.isfinite(stock).all():
            self.notes.append(f"cell {cell.index} cannot be checked: the stock loader gives NaN")
            return None
        return stock[0]

    def _difference(
        self, latent: torch.Tensor, stock: torch.Tensor
    ) -> tuple[float, float, str]:
        """Share of the latent's range, what is allowed, and in which measure and dtype."""
        dtype = compute_dtype_of(self.sampler.model)
        name = str(dtype).removeprefix("torch.")
        if dtype in HALF_PRECISION_LIMITS:
            limit = HALF_PRECISION_LIMITS[dtype]
            return rms_difference(latent, stock), limit, f"RMS, limit {limit:g} in {name}"
        difference = relative_difference(latent, stock)
        return difference, PARITY_LIMIT, f"largest, limit {PARITY_LIMIT:g} in {name}"

    def _note_effects(self, plan: SweepPlan) -> None:
        """How far each picture is from the one of the model alone, all else equal."""
        for index, base in plan.bases().items():
            if index in self.pictures and base in self.pictures:
                effect = picture_difference(self.pictures[index], self.pictures[base])
                self.outcomes[index] = replace(self.outcomes[index], effect=effect)

    def _replace(self, cell: Cell, **changes: Any) -> None:
        self.outcomes[cell.index] = replace(self.outcomes[cell.index], **changes)


def relative_difference(latent: torch.Tensor, reference: torch.Tensor) -> float:
    """Largest absolute difference as a share of the reference's range; NaN counts as infinite."""
    span = float(reference.max() - reference.min())
    difference = float((latent - reference).abs().max()) / max(span, 1e-12)
    return difference if difference == difference else float("inf")


def rms_difference(latent: torch.Tensor, reference: torch.Tensor) -> float:
    """Root mean square difference as a share of the reference's range; NaN counts as infinite."""
    span = float(reference.max() - reference.min())
    difference = float((latent - reference).square().mean().sqrt()) / max(span, 1e-12)
    return difference if difference == difference else float("inf")


def picture_difference(picture: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures, 0..1."""
    first = np.asarray(picture, dtype=np.float32)
    return round(float(np.abs(first - np.asarray(other, dtype=np.float32)).mean()) / 255, 5)
