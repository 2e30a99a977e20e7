"""Runs a sweep: what is there already, the batches, the parity check, and what is to be known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from PIL import Image

from ..core.errors import HostError
from ..core.protocols import Progress
from ..sweep.batches import batches_of
from ..sweep.cells import SweepPlan
from ..sweep.estimate import Estimate, time_text
from ..sweep.idle_axes import idle_axes
from ..sweep.live_sheet import LiveSheet
from ..sweep.result import StoredPictures
from ..sweep.table import CellOutcome
from .cell_sampler import CellSampler
from .cell_store import CellStore
from .identity import compute_dtype_of
from .sweep_check import Verdict, job_to_check, judge, stock_latent
from .sweep_drawing import BatchDrawer, Failure, Piece
from .sweep_effects import effects
from .sweep_jobs import Job, jobs_of, stored_cell
from .sweep_pace import PaceMemory
from .vae import ComfyVae

MODES = ("auto", "batched", "exact", "estimate")
BATCHES_WORTH_A_TRIAL = 3
TRIAL_SAMPLER = "euler"
RECORDED = ("mode", "reason", "seconds", "parity", "batch")
"""What of a cell's outcome is stored with its picture."""


@dataclass
class SweepRunner:
    """Draws all cells of a plan.

    Attributes:
        sampler: draws latents.
        vae: decodes them.
        store: finished cells of this and former sweeps.
        progress: tells the person, and hears Cancel.
        mode: ``auto``, ``batched``, ``exact``, or ``estimate``: only shows what is there and how
            long the rest would take.
        pace: remembers how fast the model draws; None where nobody asks.
        outcomes: how each cell came about, by index.
        files: its picture, by index.
        notes: what the person should know.
    """

    sampler: CellSampler
    vae: ComfyVae
    store: CellStore
    progress: Progress
    mode: str
    pace: PaceMemory | None = None
    outcomes: dict[int, CellOutcome] = field(default_factory=dict)
    files: dict[int, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _waiting: dict[int, Job] = field(default_factory=dict)
    _done_steps: int = 0
    _total_steps: int = 1

    @property
    def pictures(self) -> StoredPictures:
        """Finished cells, read from disk each time."""
        return StoredPictures(self.files)

    def run(self, plan: SweepPlan) -> None:
        """Draw every cell; a failed one is noted and the rest goes on.

        Raises:
            ConfigError: a cell asks for what the model does not have.
            HostError: not a single cell could be drawn.
        """
        self._plan, self._sheet, self._estimate = plan, LiveSheet(plan), Estimate()
        self._drawer = BatchDrawer(self.sampler, self.vae, self.progress, self._show)
        self._cells = {cell.index: cell for cell in plan.drawn}
        jobs, failed = jobs_of(plan, self.sampler, self.store, self.mode)
        everything = (*jobs, *(job for job, _ in failed))
        self._total_steps = sum(job.cell.settings.steps for job in everything)
        self._note_loras()
        self._note_idle_axes(everything)
        for job, reason in failed:
            self._fail(Failure(job, reason))
        missing = self._with_texts(self._take_stored(jobs))
        self._waiting = {job.cell.index: job for job in missing}
        self._say_plan(missing)
        if self.mode != "estimate":
            self._draw_all(missing)
            self._refuse_if_nothing()
            self._keep_pace()
        self._note_effects()

    def _note_loras(self) -> None:
        """Which keys of each LoRA fit the model."""
        names = dict.fromkeys(c.settings.lora for c in self._plan.cells if c.settings.has_lora)
        for name in names:
            if name not in self.sampler.shelf.usable():
                continue
            facts = self.sampler.shelf.facts(name)
            of = f"{name}: " if len(names) > 1 else ""
            self.notes.append(f"{of}{facts.matched} of {facts.keys} keys matched")
            if facts.unmatched:
                self.notes.append(f"{of}keys that fit nothing: {', '.join(facts.unmatched)}")
            if facts.obstacle:
                self.notes.append(f"{of}LoRA patched into the weights: {facts.obstacle}")

    def _note_idle_axes(self, jobs: Sequence[Job]) -> None:
        """Rows that must be equal are said before they are drawn."""
        settled = {index: job.cell.settings for job in jobs for index in job.twins}
        always = self.sampler.always_reads_negative
        for note in idle_axes(self._plan, settled, always_reads_negative=always):
            self.notes.append(note)
            self.progress.say(note)

    def _take_stored(self, jobs: Sequence[Job]) -> list[Job]:
        """Show what is there; returns what is missing."""
        missing = []
        for job in jobs:
            stored = stored_cell(job, self.store)
            if stored is None:
                missing.append(job)
                continue
            own = {name: stored.record[name] for name in RECORDED}
            self._set(job, stored.path, CellOutcome(**own, origin="stored"))
            self._done_steps += job.cell.settings.steps
        return missing

    def _with_texts(self, jobs: Sequence[Job]) -> list[Job]:
        """Encode all texts; those cells fail whose texts cannot be."""
        fine = set()
        for job in sorted(jobs, key=lambda job: self.sampler.text_order(job.cell.settings)):
            self.progress.check_cancelled()
            try:
                self.sampler.encode(job.cell.settings)
            except Exception as error:
                if self.progress.is_cancellation(error):
                    raise
                text = str(error.with_traceback(None)) or type(error).__name__
                self._fail(Failure(job, text))
            else:
                fine.add(job.cell.index)
        return [job for job in jobs if job.cell.index in fine]

    def _say_plan(self, missing: Sequence[Job]) -> None:
        """Count and time, before anything is drawn."""
        batches = [batch for group in _by_way(missing) for batch in self._batches(group)]
        pace = self.pace.recall() if self.pace else None
        if pace is None and self.pace and len(batches) >= BATCHES_WORTH_A_TRIAL:
            pace = self._trial(batches[0])
        self._estimate.pace = pace
        cells = len(self._plan.drawn)
        there = cells - sum(len(job.twins) for job in missing)
        text = f"{cells} cells" + (f", {there} of them there already" if there else "")
        if missing:
            text += f"; {len(missing)} pictures to draw in {len(batches)} batches"
            text += self._time_left()
        self.notes.append(text)
        self.progress.say(text)

    def _trial(self, batch: Sequence[Job]) -> float | None:
        """Pace of one step, the second time, when all is loaded."""
        jobs = [_one_step(job) for job in batch]
        for _ in range(2):
            trial, started = Estimate(), time.monotonic()
            drawn = self._drawer.attempt(jobs)
            if isinstance(drawn, Exception):
                # Drawing itself meets it again, and knows what to do.
                return None
            trial.note((job.cell.settings for job in jobs), time.monotonic() - started)
        return trial.measured_pace()

    def _draw_all(self, missing: Sequence[Job]) -> None:
        for group in _by_way(missing):
            if group[0].way == "alone":
                self._keep_all(self._drawer.draw_alone(group))
            else:
                self._draw_together(group)

    def _draw_together(self, jobs: Sequence[Job]) -> None:
        """Draw in batches; the first one decides whether the way is good enough."""
        checked, stock = job_to_check(jobs), None
        while jobs[0].way != "alone":
            # The others by size: the second one tells the pace.
            batches = sorted(self._batches(jobs), key=len, reverse=True)
            first, *others = sorted(batches, key=lambda batch: checked not in batch)
            if checked and stock is None and (checked.way == "batched" or len(first) > 1):
                # Before the batch, so that cancelling it costs no finished cells.
                stock = stock_latent(checked, self.sampler, self.progress)
            drawn = list(self._drawer.draw(first))
            verdict = self._verdict(checked, drawn, stock)
            if not verdict.stricter or self.mode == "batched":
                self._keep_all(drawn, {verdict.index: verdict.difference})
                for batch in others:
                    self._keep_all(self._drawer.draw(batch))
                return
            way, reason = verdict.stricter, f"cell {verdict.index} differed by"
            reason = f"{jobs[0].way}, {reason} {verdict.difference:.1e}"
            self.notes.append(f"cells are drawn {way}: {reason}")
            jobs = [replace(job, way=way, reason=reason, by_check=True) for job in jobs]
            checked = next(job for job in jobs if job.cell.index == verdict.index)
        self._keep_all(self._drawer.draw_alone(jobs))

    def _verdict(
        self,
        checked: Job | None,
        drawn: Sequence[Piece | Failure],
        stock: torch.Tensor | Verdict | None,
    ) -> Verdict:
        if checked is None or stock is None:
            return Verdict()
        verdict = stock
        if isinstance(verdict, torch.Tensor):
            verdict = judge(checked, drawn, verdict, compute_dtype_of(self.sampler.model))
        if verdict.note:
            self.notes.append(verdict.note)
        return verdict

    def _batches(self, jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
        if jobs[0].way == "alone":
            return [(job,) for job in jobs]
        return batches_of(
            jobs,
            alike=lambda job: self.sampler.alike(job.cell.settings, job.way),
            limit=lambda job: self.sampler.batch_limit(job.cell.settings),
            near=lambda job: job.cell.settings.lora,
        )

    def _keep_all(
        self, drawn: Iterable[Piece | Failure], checked: Mapping[int, float | None] | None = None
    ) -> None:
        for own in drawn:
            if isinstance(own, Piece):
                self._keep(own, checked or {})
            else:
                self._fail(own)

    def _keep(self, piece: Piece, checked: Mapping[int, float | None]) -> None:
        """Store a piece at once: a cancelled or killed sweep goes on after it."""
        started = time.monotonic()
        each = round(piece.seconds / len(piece.jobs), 4)
        sheet = None
        for job, picture in zip(piece.jobs, piece.pictures, strict=True):
            outcome = CellOutcome(
                job.way, job.reason, each, batch=len(piece.jobs),
                parity=checked.get(job.cell.index),
            )  # fmt: skip
            record = {name: getattr(outcome, name) for name in RECORDED}
            record["by_check"] = job.by_check
            stored = self.store.put(job.cell.settings, job.way, picture, record)
            self._set(job, stored.path, outcome)
            for index in job.twins:
                sheet = self._sheet.add(self._cells[index], picture)
        spent = piece.seconds + time.monotonic() - started
        self._estimate.note((job.cell.settings for job in piece.jobs), spent)
        self._advance(piece.jobs, sheet)

    def _set(self, job: Job, path: Path, outcome: CellOutcome) -> None:
        settings = job.cell.settings
        if settings.has_lora:
            facts = self.sampler.shelf.facts(settings.lora)
            outcome = replace(outcome, keys_matched=facts.matched, keys=facts.keys)
        for index in job.twins:
            self.files[index], self.outcomes[index] = path, outcome

    def _fail(self, failure: Failure) -> None:
        outcome = CellOutcome("failed", "", 0.0, error=failure.error)
        for index in failure.job.twins:
            self.outcomes[index] = outcome
        self.notes.append(f"cell {failure.job.cell.index} failed: {failure.error}")
        self._advance([failure.job], None)

    def _advance(self, jobs: Sequence[Job], sheet: Image.Image | None) -> None:
        for job in jobs:
            self._waiting.pop(job.cell.index, None)
            self._done_steps += job.cell.settings.steps
        self.progress.update(self._done_steps, self._total_steps, picture=sheet)
        if self._waiting:
            drawn, left = len(self.outcomes), self._time_left()
            self.progress.say(f"{drawn} of {len(self._cells)} cells{left and left + ' left'}")

    def _show(self, step: int, cells: int) -> None:
        self.progress.check_cancelled()
        done = self._done_steps + (step + 1) * cells
        self.progress.update(min(done, self._total_steps), self._total_steps)

    def _time_left(self) -> str:
        waiting = (job.cell.settings for job in self._waiting.values())
        seconds = self._estimate.seconds_for(waiting)
        return "" if seconds is None else f", {time_text(seconds)}"

    def _keep_pace(self) -> None:
        pace = self._estimate.measured_pace()
        if self.pace and pace:
            self.pace.keep(pace)

    def _refuse_if_nothing(self) -> None:
        if self.files:
            return
        raise HostError(
            f"None of the {len(self._cells)} cells could be drawn; the first one failed with: "
            f"{next(iter(self.outcomes.values())).error}",
            expected="the model to draw with these settings",
            remedy="Try the same prompt, size and sampler with the stock KSampler node",
        )

    def _note_effects(self) -> None:
        """What the LoRA changed; a LoRA that changes nothing is said aloud."""
        inert: dict[str, int] = {}
        for index, effect in effects(self._plan, self.files):
            settings = self.sampler.settled(self._cells[index].settings)
            same = effect == 0 if settings.has_lora else None
            shown = round(effect, 5) or min(effect, 1e-5)
            self.outcomes[index] = replace(self.outcomes[index], effect=shown, inert=same)
            if same:
                inert.setdefault(settings.lora, index)
        for name, index in inert.items():
            self.notes.append(f"{name or 'the LoRA'} changes nothing in cell {index}")


def _by_way(jobs: Sequence[Job]) -> list[list[Job]]:
    """Batched ones first, then patched and single ones, each with one reason."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.way, job.reason), []).append(job)
    order = ("batched", "patched", "alone")
    return [groups[key] for key in sorted(groups, key=lambda key: order.index(key[0]))]


def _one_step(job: Job) -> Job:
    settings = replace(job.cell.settings, steps=1, sampler=TRIAL_SAMPLER)
    return replace(job, cell=replace(job.cell, settings=settings))
