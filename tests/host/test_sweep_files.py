"""What a finished sweep leaves on disk: everything, in any format, whatever fails on the way."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import SweepPlan, plan_sweep
from lora_kiln.sweep.file_settings import SweepFileSettings
from lora_kiln.sweep.table import CellOutcome
from lora_kiln.tests.sweep.axes_for_tests import plan_of_four_axes

TEXTS = {"prompt": json.dumps({"1": {}}), "workflow": json.dumps({"nodes": []})}


class Made(Mapping[int, Image.Image]):
    """Pictures that are made each time they are asked for, as a store on disk would."""

    def __init__(self, indices: list[int], side: int) -> None:
        self.indices, self.side, self.fetched = indices, side, 0

    def __getitem__(self, index: int) -> Image.Image:
        self.fetched += 1
        ramp = np.linspace(0, 255, self.side, dtype=np.uint8)
        pixels = np.empty((self.side, self.side, 3), np.uint8)
        pixels[..., 0], pixels[..., 1], pixels[..., 2] = ramp, ramp[:, None], index % 256
        return Image.fromarray(pixels)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __contains__(self, index: object) -> bool:
        return index in self.indices


@dataclass
class Ran:
    """What is read of a runner."""

    pictures: Mapping[int, Image.Image]
    outcomes: dict[int, CellOutcome]
    notes: list[str] = field(default_factory=lambda: ["3 of 3 keys matched"])


def ran(plan: SweepPlan, *, failed: int = -1, side: int = 64) -> Ran:
    outcomes = {
        cell.index: CellOutcome("failed", "", 0.0, error="no memory")
        if cell.index == failed
        else CellOutcome("batched", "", 0.5, effect=0.1)
        for cell in plan.drawn
    }
    done = [cell.index for cell in plan.drawn if cell.index != failed]
    return Ran(Made(done, side), outcomes)


def write(runner: Ran, plan: SweepPlan, **settings: Any) -> Any:
    from lora_kiln.host.sweep_files import finish

    unchecked: Any = runner
    return finish(
        unchecked, plan, title="a title", prefix="files", texts=TEXTS,
        settings=SweepFileSettings(**settings),
    )  # fmt: skip


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def _host(comfy: Path) -> None:
    """The module imports ComfyUI."""


def small_plan() -> SweepPlan:
    return plan_sweep(
        CellSettings(), [AxisValues("strength", (0.0, 1.0)), AxisValues("cfg", (2.0, 7.0))]
    )


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("png", "png"), ("jpeg", "jpg"), ("webp", "webp"), ("webp_lossless", "webp")],
)
def test_every_file_is_there_in_the_chosen_format(form: str, suffix: str) -> None:
    plan = small_plan()
    runner = ran(plan, failed=3)
    result = write(runner, plan, picture_format=form)
    cells = {f"cells/cell_{n:04d}.{suffix}" for n in range(3)}
    expected = {*cells, f"grid.{suffix}", f"diff.{suffix}", "strip.webp", "table.csv", "table.json"}
    if form == "jpeg":
        expected |= {"workflow.json", "prompt.json"}
        assert json.loads((result.folder / "workflow.json").read_text("utf-8")) == {"nodes": []}
        assert sum("workflow.json" in note for note in result.notes) == 1
    assert names(result.folder) == expected
    assert (len(result.pages), len(result.diff_pages), len(result.extras)) == (1, 1, 1)
    # Figures that are computed later are computed of exact pixels.
    for index in range(3):
        assert result.pictures[index].tobytes() == runner.pictures[index].tobytes()
    document = json.loads((result.folder / "table.json").read_text("utf-8"))
    assert document["notes"] == list(result.notes)
    assert [axis["labels"] for axis in document["axes"]] == [
        ["strength 0", "strength 1"], ["CFG 2", "CFG 7"],
    ]  # fmt: skip
    assert document["versions"]["comfyui"]
    assert document["columns"] == list(document["rows"][0])
    assert [row["error"] for row in document["rows"]] == ["", "", "", "no memory"]


def test_a_slow_disk_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_kiln.host import sweep_files

    monkeypatch.setattr(sweep_files, "SAY_EVERY_S", -1.0)
    plan = small_plan()
    said: list[str] = []
    unchecked: Any = ran(plan)
    sweep_files.finish(unchecked, plan, title="t", prefix="told", texts={}, say=said.append)
    assert said == [
        *(f"writing pictures: {n} of 4" for n in range(4)), "writing grid pages: 0 of 1",
        "writing difference pages: 0 of 1",
    ]  # fmt: skip


def test_pages_bring_a_contact_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of_four_axes(monkeypatch)
    result = write(ran(plan), plan, diff_view=False, strip_axis="none")
    assert [page.name for page in result.pages] == [
        "grid.png", *(f"grid_{n}.png" for n in range(2, 7)),
    ]  # fmt: skip
    assert [path.name for path in result.extras] == ["contact.jpg"]
    assert result.diff_pages == ()
    sizes = set()
    for page in result.pages:
        with Image.open(page) as picture:
            sizes.add(picture.size)
            assert picture.info["workflow"] == TEXTS["workflow"]
    assert len(sizes) == 1


def test_a_view_that_fails_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_kiln.host import sweep_files

    def broken(*_args: Any, **_named: Any) -> None:
        raise OSError("the encoder is missing")

    monkeypatch.setattr(sweep_files, "encode_strip", broken)
    monkeypatch.setattr(sweep_files, "draw_legend", broken)
    plan = small_plan()
    result = write(ran(plan), plan)
    assert names(result.folder) == {
        *(f"cells/cell_{n:04d}.png" for n in range(4)), "grid.png", "table.csv", "table.json",
    }  # fmt: skip
    assert (result.diff_pages, result.extras) == ((), ())
    told = json.loads((result.folder / "table.json").read_text("utf-8"))["notes"]
    for view in ("difference pictures", "animated strip"):
        assert f"the {view} could not be written: the encoder is missing" in told


def test_many_cells_need_the_memory_of_one_cell_and_one_page() -> None:
    """However many cells there are, at most three of their pictures are held at a time."""
    strengths, scales = tuple(n / 10 for n in range(10)), tuple(float(n) for n in range(1, 11))
    plan = plan_sweep(
        CellSettings(), [AxisValues("strength", strengths), AxisValues("cfg", scales)]
    )
    assert len(plan.cells) == 100
    runner = ran(plan, side=16)
    counted = Counted(runner.pictures)
    result = write(Ran(counted, runner.outcomes), plan, picture_format="jpeg")
    assert len(result.extras) == 1
    assert counted.fetched > 300
    assert counted.most <= 3


class Counted(Mapping[int, Image.Image]):
    """Counts how many of the pictures that it gave are still held."""

    def __init__(self, pictures: Mapping[int, Image.Image]) -> None:
        self.pictures, self.most, self.fetched = pictures, 0, 0
        self._given: list[weakref.ref[Image.Image]] = []

    def __getitem__(self, index: int) -> Image.Image:
        picture = self.pictures[index]
        self._given = [own for own in self._given if own() is not None]
        self._given.append(weakref.ref(picture))
        self.most = max(self.most, len(self._given))
        self.fetched += 1
        return picture

    def __iter__(self) -> Iterator[int]:
        return iter(self.pictures)

    def __len__(self) -> int:
        return len(self.pictures)

    def __contains__(self, index: object) -> bool:
        return index in self.pictures
