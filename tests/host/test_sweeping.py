"""What a sweep does when a batch fails, when memory runs out and when a cell differs."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import HostError
from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import Cell, SweepPlan, plan_sweep

PLAN_AXES = [AxisValues("strength", (0.0, 0.5, 1.0)), AxisValues("cfg", (1.0, 2.0, 3.0, 4.0))]


class Interrupt(BaseException):
    """Stands for the host's own."""


class FakeModel:
    """Tells the dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.model = self
        self._dtype = dtype

    def get_model_object(self, name: str) -> torch.dtype | None:
        return None

    def get_dtype(self) -> torch.dtype:
        return self._dtype


@dataclass
class FakeShelf:
    """One LoRA whose keys all matched but one."""

    obstacle: str = ""
    name: str = "fake"
    matched: int = 3
    keys: int = 4
    unmatched: tuple[str, ...] = ("odd.key",)

    def facts(self, name: str) -> FakeShelf:
        return self

    def usable(self) -> tuple[str, ...]:
        return ("", "a", "b")


@dataclass
class FakeSampler:
    """Draws numbers instead of latents: strength + cfg, off by ``error`` when beside."""

    fails: Callable[[Sequence[Cell], str], Exception | BaseException | None] = lambda c, w: None
    beside_error: float = 0.0
    patched_error: float = 0.0
    obstacle: str = ""
    alone: Callable[[CellSettings], str] = lambda own: ""
    dtype: torch.dtype = torch.float32
    calls: list[tuple[str, int]] = field(default_factory=list)

    always_reads_negative = False

    @property
    def model(self) -> FakeModel:
        return FakeModel(self.dtype)

    def why_alone(self, settings: CellSettings) -> str:
        return self.alone(settings)

    @property
    def shelf(self) -> FakeShelf:
        return FakeShelf(self.obstacle)

    def settled(self, settings: CellSettings) -> CellSettings:
        return settings.canonical()

    def check_blocks(self, settings: CellSettings) -> None:
        """It has them all."""

    def encode(self, settings: CellSettings) -> None:
        if settings.prompt == "unspeakable":
            raise ValueError("no such word")

    def text_order(self, settings: CellSettings) -> tuple[str, float]:
        return "", 0.0

    def why_patched(self, settings: CellSettings) -> str:
        return self.obstacle if settings.has_lora else ""

    def alike(self, settings: CellSettings, way: str) -> object:
        return settings.strength if way == "patched" else None

    def batch_limit(self, settings: CellSettings) -> int:
        return 8

    def draw_beside(self, cells: Sequence[Cell], on_step: Callable[[int], None]) -> torch.Tensor:
        return self._draw(cells, "beside", self.beside_error, on_step)

    def draw_patched(self, cells: Sequence[Cell], on_step: Callable[[int], None]) -> torch.Tensor:
        assert len({cell.settings.strength for cell in cells}) == 1
        error = self.patched_error if len(cells) > 1 else 0.0
        return self._draw(cells, "patched", error, on_step)

    def _draw(
        self, cells: Sequence[Cell], way: str, error: float, on_step: Callable[[int], None]
    ) -> torch.Tensor:
        self.calls.append((way, len(cells)))
        failure = self.fails(cells, way)
        if failure is not None:
            raise failure
        for step in range(cells[0].settings.steps):
            on_step(step)
        values = [cell.settings.strength + cell.settings.cfg for cell in cells]
        ramp = torch.linspace(0, 1, 16).view(1, 1, 4, 4)
        return torch.tensor(values).view(-1, 1, 1, 1) * 0.1 + ramp + error


class FakeVae:
    """Pixels are latents."""

    def decode_raw(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents.movedim(1, -1).expand(-1, -1, -1, 3) / 2).clamp(0, 1)


@dataclass
class Watcher:
    """Remembers progress."""

    shown: list[tuple[int, int]] = field(default_factory=list)
    pictures: list[Image.Image] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        self.shown.append((done, total))
        if picture is not None:
            self.pictures.append(picture)

    def say(self, text: str) -> None:
        self.said.append(text)

    def check_cancelled(self) -> None:
        """Nobody pressed it."""

    def is_cancellation(self, error: BaseException) -> bool:
        return type(error).__name__ == "InterruptProcessingException"


def key_of(settings: CellSettings, way: str) -> str:
    return hashlib.sha256(repr((settings, way)).encode()).hexdigest()


def sweep(
    sampler: FakeSampler, mode: str = "auto", cache: Path | None = None
) -> tuple[Any, SweepPlan, Watcher]:
    """Run a 3 x 4 sweep of two steps, of which four cells show the model alone."""
    from lora_kiln.host.cell_store import CellStore
    from lora_kiln.host.sweeping import SweepRunner

    plan = plan_sweep(CellSettings(steps=2, seed=5, prompt="a boat"), PLAN_AXES)
    watcher = Watcher()
    unchecked: Any = SweepRunner
    store = CellStore(cache or Path(tempfile.mkdtemp(dir=_SCRATCH[0])), key_of)
    runner = unchecked(sampler=sampler, vae=FakeVae(), store=store, progress=watcher, mode=mode)
    runner.run(plan)
    return runner, plan, watcher


def modes(runner: Any) -> list[str]:
    return [runner.outcomes[index].mode for index in sorted(runner.outcomes)]


_SCRATCH: list[Path] = []


@pytest.fixture(autouse=True)
def _host(comfy: Path, tmp_path: Path) -> None:
    """The module imports ComfyUI, and finished cells go into a folder of the test's own."""
    _SCRATCH[:] = [tmp_path]


def test_batches_are_even_and_one_cell_is_checked() -> None:
    sampler = FakeSampler()
    runner, _, watcher = sweep(sampler)
    assert sampler.calls == [("patched", 1), ("beside", 6), ("beside", 6)]
    assert modes(runner) == ["batched"] * 12
    checked = [o for o in runner.outcomes.values() if o.parity is not None]
    assert [o.parity for o in checked] == [0.0]
    assert runner.notes[:2] == ["3 of 4 keys matched", "keys that fit nothing: odd.key"]
    assert watcher.shown[-1] == (24, 24)
    assert [done for done, _ in watcher.shown] == sorted(done for done, _ in watcher.shown)
    assert len(watcher.pictures) == 2
    assert runner.outcomes[0].effect == 0
    assert runner.outcomes[8].effect > runner.outcomes[4].effect > 0


def test_a_cell_that_differs_sends_auto_to_exact_mode() -> None:
    sampler = FakeSampler(beside_error=0.01)
    runner, _, _ = sweep(sampler)
    assert modes(runner) == ["patched"] * 12
    assert sampler.calls == [
        ("patched", 1), ("beside", 6), *[("patched", 4)] * 3,
    ]  # fmt: skip
    (checked,) = [o for o in runner.outcomes.values() if o.parity is not None]
    assert checked.parity == 0
    assert "differed by 1.0e-02" in checked.reason
    assert any("cells are drawn patched" in note for note in runner.notes)


def test_a_patched_batch_that_differs_too_is_drawn_alone() -> None:
    sampler = FakeSampler(beside_error=0.01, patched_error=0.01)
    runner, _, _ = sweep(sampler)
    assert modes(runner) == ["alone"] * 12
    assert len(runner.pictures) == 12


@pytest.mark.parametrize(
    ("dtype", "mode"), [(torch.bfloat16, "batched"), (torch.float16, "patched")]
)
def test_half_precision_has_a_limit_of_its_own(dtype: torch.dtype, mode: str) -> None:
    """And there a patched batch is never drawn again alone: it rounds as stock's batches do."""
    runner, _, _ = sweep(FakeSampler(beside_error=0.01, patched_error=0.01, dtype=dtype))
    assert set(modes(runner)) == {mode}
    assert any("RMS" in note for note in runner.notes)


def test_a_check_that_fails_loses_nothing() -> None:
    def fails(cells: Sequence[Cell], way: str) -> Exception | None:
        return RuntimeError("CUDA out of memory.") if way == "patched" else None

    runner, _, _ = sweep(FakeSampler(fails=fails))
    assert modes(runner) == ["batched"] * 12
    assert any("could not be checked: CUDA out of memory" in note for note in runner.notes)


def test_batched_mode_tells_the_difference_and_stays() -> None:
    runner, _, _ = sweep(FakeSampler(beside_error=0.01), mode="batched")
    assert modes(runner) == ["batched"] * 12
    (checked,) = [o for o in runner.outcomes.values() if o.parity is not None]
    assert checked.parity == pytest.approx(0.01, rel=1e-3)


def test_exact_mode_patches_once_per_strength() -> None:
    sampler = FakeSampler(beside_error=9.0)
    runner, _, _ = sweep(sampler, mode="exact")
    assert sampler.calls == [("beside", 4), ("patched", 1), ("patched", 4), ("patched", 4)]
    assert modes(runner) == ["batched"] * 4 + ["patched"] * 8
    assert {runner.outcomes[index].reason for index in range(4, 12)} == {"exact mode"}


def test_what_cannot_stand_beside_is_patched_and_says_why() -> None:
    runner, _, _ = sweep(FakeSampler(obstacle="it is a DoRA"), mode="batched")
    assert modes(runner) == ["batched"] * 4 + ["patched"] * 8
    assert {runner.outcomes[index].reason for index in range(4, 12)} == {"it is a DoRA"}
    assert "LoRA patched into the weights: it is a DoRA" in runner.notes


def test_only_the_cells_that_must_be_are_drawn_alone() -> None:
    sampler = FakeSampler(alone=lambda own: "odd scale" if own.cfg == 3.0 else "")
    runner, plan, _ = sweep(sampler)
    for cell in plan.cells:
        expected = ("alone", "odd scale") if cell.settings.cfg == 3.0 else ("batched", "")
        outcome = runner.outcomes[cell.index]
        assert (outcome.mode, outcome.reason) == expected


@pytest.mark.parametrize("text", ["CUDA out of memory.", "MPS backend out of memory"])
def test_out_of_memory_halves_the_batch(text: str) -> None:
    def fails(cells: Sequence[Cell], way: str) -> Exception | None:
        return RuntimeError(text) if len(cells) > 2 else None

    sampler = FakeSampler(fails=fails)
    runner, _, _ = sweep(sampler)
    assert modes(runner) == ["batched"] * 12
    assert {o.batch for o in runner.outcomes.values()} <= {1, 2}
    assert [size for _, size in sampler.calls[:4]] == [1, 6, 3, 1]


def test_one_bad_cell_is_grey_and_the_rest_goes_on() -> None:
    def fails(cells: Sequence[Cell], way: str) -> Exception | None:
        return KeyError("mat1 and mat2") if any(cell.index == 7 for cell in cells) else None

    runner, _, watcher = sweep(FakeSampler(fails=fails))
    assert [index for index, o in runner.outcomes.items() if o.error] == [7]
    assert "mat1 and mat2" in runner.outcomes[7].error
    assert 7 not in runner.pictures
    assert len(runner.pictures) == 11
    spoiled = [o for o in runner.outcomes.values() if o.mode == "alone"]
    assert len(spoiled) == 5
    assert all("its batch failed" in o.reason for o in spoiled)
    assert watcher.shown[-1] == (24, 24)


def test_a_sweep_without_any_picture_is_an_error() -> None:
    with pytest.raises(HostError, match=r"None of the 12 cells.*no such thing"):
        sweep(FakeSampler(fails=lambda cells, way: RuntimeError("no such thing")))


def test_cancel_goes_through_whatever_its_kind() -> None:
    class InterruptProcessingException(Exception):
        """As old ComfyUIs have it."""

    for kind in (InterruptProcessingException, Interrupt):
        failure = kind()
        sampler = FakeSampler(fails=lambda cells, way, own=failure: own)  # type: ignore[misc]
        with pytest.raises(kind):
            sweep(sampler)
        assert len(sampler.calls) == 1


def test_a_stock_run_without_a_result_is_no_verdict() -> None:
    """NaN on both sides is not a difference of ours."""

    class Broken(FakeSampler):
        def draw_patched(
            self, cells: Sequence[Cell], on_step: Callable[[int], None]
        ) -> torch.Tensor:
            return super().draw_patched(cells, on_step) * torch.nan

    runner, _, _ = sweep(Broken())
    assert modes(runner) == ["batched"] * 12
    assert any("gives NaN" in note for note in runner.notes)


def test_nan_in_a_cell_only_is_a_difference() -> None:
    from lora_kiln.host.parity import relative_difference

    reference = torch.linspace(0, 2, 4)
    assert relative_difference(reference * torch.nan, reference) == float("inf")
    assert relative_difference(reference + 1, reference) == 0.5


def test_only_missing_cells_are_drawn(tmp_path: Path) -> None:
    first, _, _ = sweep(FakeSampler(), cache=tmp_path)
    again = FakeSampler()
    second, _, watcher = sweep(again, cache=tmp_path)
    assert again.calls == []
    assert {o.origin for o in second.outcomes.values()} == {"stored"}
    assert second.files == first.files
    assert watcher.said[0] == "12 cells, 12 of them there already"
    for index, outcome in first.outcomes.items():
        assert replace(second.outcomes[index], origin="drawn") == outcome
    lost = sorted({first.files[3], first.files[8]})
    lost[0].unlink()
    lost[1].write_bytes(lost[1].read_bytes()[:-20])
    third = FakeSampler()
    runner, _, _ = sweep(third, cache=tmp_path)
    assert third.calls == [("patched", 1), ("beside", 2)]
    assert [i for i, o in runner.outcomes.items() if o.origin == "drawn"] == [3, 8]


def test_cells_of_another_mode_are_drawn_anew(tmp_path: Path) -> None:
    sweep(FakeSampler(), cache=tmp_path)
    exact = FakeSampler()
    sweep(exact, mode="exact", cache=tmp_path)
    assert exact.calls == [("patched", 1), ("patched", 4), ("patched", 4)]
    auto = FakeSampler()
    sweep(auto, cache=tmp_path)
    assert auto.calls == []


def test_auto_remembers_that_batches_differed(tmp_path: Path) -> None:
    sweep(FakeSampler(beside_error=0.01), cache=tmp_path)
    again = FakeSampler(beside_error=0.01)
    runner, _, _ = sweep(again, cache=tmp_path)
    assert again.calls == []
    assert modes(runner) == ["patched"] * 12


def test_auto_does_not_trust_batches_that_were_never_checked_well(tmp_path: Path) -> None:
    sweep(FakeSampler(beside_error=0.01), mode="batched", cache=tmp_path)
    runner, _, _ = sweep(FakeSampler(beside_error=0.01), cache=tmp_path)
    assert modes(runner) == ["batched"] * 4 + ["patched"] * 8


def test_a_batch_that_failed_once_makes_no_sweep_slow(tmp_path: Path) -> None:
    def fails(cells: Sequence[Cell], way: str) -> Exception | None:
        spoiled = way == "beside" and any(cell.index == 7 for cell in cells)
        return RuntimeError("for once") if spoiled else None

    first, _, _ = sweep(FakeSampler(fails=fails), cache=tmp_path)
    assert modes(first).count("alone") == 6
    again = FakeSampler()
    runner, _, _ = sweep(again, cache=tmp_path)
    assert again.calls == []
    assert modes(runner) == modes(first)


def test_a_cell_that_is_no_number_is_drawn_alone_and_never_stored(tmp_path: Path) -> None:
    class Broken(FakeSampler):
        at: tuple[str, ...] = ("beside", "patched")

        def _draw(
            self, cells: Sequence[Cell], way: str, error: float, on_step: Callable[[int], None]
        ) -> torch.Tensor:
            latents = super()._draw(cells, way, error, on_step)
            for latent, cell in zip(latents, cells, strict=True):
                if cell.index == 7 and way in self.at:
                    latent[0, 0, 0] = torch.nan
            return latents

    runner, _, _ = sweep(Broken(), cache=tmp_path)
    assert [i for i, o in runner.outcomes.items() if o.error] == [7]
    assert "no numbers (NaN)" in runner.outcomes[7].error
    assert modes(runner).count("batched") == 11
    only_in_batches = Broken()
    only_in_batches.at = ("beside",)
    runner, _, _ = sweep(only_in_batches, cache=tmp_path)
    assert only_in_batches.calls[-2:] == [("beside", 1), ("patched", 1)]
    assert runner.outcomes[7].mode == "alone"
    assert "no numbers" in runner.outcomes[7].reason


def test_a_text_that_cannot_be_encoded_costs_its_own_cells() -> None:
    from lora_kiln.host.cell_store import CellStore
    from lora_kiln.host.sweeping import SweepRunner

    prompts = ("a", "unspeakable", "b")
    cells = tuple(
        Cell(n, 0, 0, n, CellSettings(steps=2, prompt=own)) for n, own in enumerate(prompts)
    )
    unchecked: Any = SweepRunner
    runner = unchecked(
        sampler=FakeSampler(), vae=FakeVae(), store=CellStore(_SCRATCH[0], key_of),
        progress=Watcher(), mode="auto",
    )
    runner.run(SweepPlan(cells, ("x",), prompts, ("",)))
    assert [runner.outcomes[n].error for n in range(3)] == ["", "no such word", ""]
    assert sorted(runner.files) == [0, 2]


def test_an_estimate_draws_nothing(tmp_path: Path) -> None:
    sampler = FakeSampler()
    runner, _, watcher = sweep(sampler, mode="estimate", cache=tmp_path)
    assert sampler.calls == []
    assert not runner.pictures
    assert not runner.outcomes
    assert watcher.said == ["12 cells; 12 pictures to draw in 2 batches"]


def test_what_is_equal_is_drawn_once() -> None:
    """Two LoRAs at strength 0 are the model alone."""
    from lora_kiln.host.cell_store import CellStore
    from lora_kiln.host.sweeping import SweepRunner

    each = [
        CellSettings(steps=2, lora=name, strength=strength)
        for name in ("a", "b")
        for strength in (0.0, 1.0)
    ]
    cells = tuple(Cell(index, 0, 0, index, own) for index, own in enumerate(each))
    plan = SweepPlan(cells, ("x",), ("1", "2", "3", "4"), ("",))
    sampler, watcher = FakeSampler(), Watcher()
    unchecked: Any = SweepRunner
    runner = unchecked(
        sampler=sampler, vae=FakeVae(), store=CellStore(_SCRATCH[0], key_of), progress=watcher,
        mode="auto",
    )
    runner.run(plan)
    assert sampler.calls == [("patched", 1), ("beside", 3)]
    assert runner.files[0] == runner.files[2]
    assert runner.files[1] != runner.files[3]
    assert [runner.outcomes[index].effect == 0 for index in range(4)] == [True, False, True, False]
    assert [runner.outcomes[index].inert for index in range(4)] == [None, False, None, False]
    assert watcher.shown[-1] == (6, 6)


def test_a_lora_that_changes_nothing_is_told() -> None:
    class Inert(FakeSampler):
        def _draw(self, cells: Sequence[Cell], *rest: Any) -> torch.Tensor:
            alone = [replace(c, settings=replace(c.settings, strength=0.0)) for c in cells]
            return super()._draw(alone, *rest)

    runner, _, _ = sweep(Inert())
    assert [runner.outcomes[index].inert for index in (0, 4, 8)] == [None, True, True]
    assert "the LoRA changes nothing in cell 4" in runner.notes


def test_the_time_that_is_left_is_told() -> None:
    class Slow(FakeSampler):
        def batch_limit(self, settings: CellSettings) -> int:
            return 1

        def _draw(self, *args: Any) -> torch.Tensor:
            time.sleep(0.01)
            return super()._draw(*args)

    _, _, watcher = sweep(Slow())
    assert watcher.said[0] == "12 cells; 12 pictures to draw in 12 batches"
    assert watcher.said[1] == "1 of 12 cells, about 1 s left"
    assert len(watcher.said) == 12


def test_five_hundred_cells_are_never_in_memory_together() -> None:
    """Pictures and latents of a batch or two, whatever the size of the sweep."""
    import gc

    from lora_kiln.host.cell_store import CellStore
    from lora_kiln.host.sweeping import SweepRunner

    class Counting(Watcher):
        most: tuple[int, int] = (0, 0)

        def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
            if picture is not None:
                alive = gc.get_objects()
                pictures = sum(issubclass(type(own), Image.Image) for own in alive)
                tensors = sum(issubclass(type(own), torch.Tensor) for own in alive)
                self.most = (max(self.most[0], pictures), max(self.most[1], tensors))
                del alive

    axes = [
        AxisValues("strength", tuple(n / 10 for n in range(20))),
        AxisValues("cfg", tuple(float(n) for n in range(1, 26))),
    ]
    plan = plan_sweep(CellSettings(steps=1), axes)
    assert len(plan.cells) == 500
    before = gc.get_objects()
    alive = tuple(
        sum(issubclass(type(own), kind) for own in before) for kind in (Image.Image, torch.Tensor)
    )
    del before
    watcher = Counting()
    unchecked: Any = SweepRunner
    runner = unchecked(
        sampler=FakeSampler(), vae=FakeVae(), store=CellStore(_SCRATCH[0], key_of),
        progress=watcher, mode="auto",
    )
    runner.run(plan)
    assert len(runner.pictures) == 500
    assert watcher.most[0] - alive[0] <= 24
    assert watcher.most[1] - alive[1] <= 24


def test_a_trial_that_does_not_fit_is_no_failure(tmp_path: Path) -> None:
    """Before a sweep of many batches one step is timed; drawing itself then halves."""
    from lora_kiln.host.cell_store import CellStore
    from lora_kiln.host.sweep_pace import PaceMemory
    from lora_kiln.host.sweeping import SweepRunner

    class Small(FakeSampler):
        def batch_limit(self, settings: CellSettings) -> int:
            return 4

    def fails(cells: Sequence[Cell], way: str) -> Exception | None:
        return RuntimeError("CUDA out of memory.") if len(cells) > 2 else None

    for own, said in ((fails, "in 3 batches"), (lambda c, w: None, "in 3 batches, about 1 s")):
        sampler, watcher = Small(fails=own), Watcher()
        pace = PaceMemory(tmp_path / said / "pace.json", "key")
        unchecked: Any = SweepRunner
        runner = unchecked(
            sampler=sampler, vae=FakeVae(), store=CellStore(tmp_path / said, key_of),
            progress=watcher, mode="auto", pace=pace,
        )
        runner.run(plan_sweep(CellSettings(steps=2, seed=5, prompt="a boat"), PLAN_AXES))
        assert modes(runner) == ["batched"] * 12
        assert watcher.said[0].endswith(said)
        assert pace.recall() is not None
        assert watcher.shown[-1] == (24, 24)
