"""A sweep worker killed at random moments: finished cells stay, and are never drawn again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

KILLS = 50
CELLS_PER_BATCH = 2


class Silent:
    """Progress of a worker that nobody watches."""

    def update(self, done: int, total: int, *, picture: Any = None) -> None:
        """Nobody looks."""

    def say(self, text: str) -> None:
        """Nobody listens."""

    def check_cancelled(self) -> None:
        """Nobody cancels: workers are killed."""

    def is_cancellation(self, error: BaseException) -> bool:
        return False


@pytest.fixture(scope="module")
def wires(comfy: Path) -> dict[str, Any]:
    from lora_kiln.host import demo_model
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        model, clip, vae = tiny_sdxl.make_model(), tiny_sdxl.make_clip(), demo_model._make_vae()
    file = tiny_sdxl.write_lora(comfy, "killed.safetensors", tiny_sdxl.lora_tensors(model))
    return {"model": model, "clip": clip, "vae": vae, "files": {"killed": file}}


def run_sweep(wires: dict[str, Any], cache: Path, seed: int) -> Any:
    """Twelve cells in batches of two, one of them checked."""
    from lora_kiln.host.sweep_engine import make_runner
    from lora_kiln.sweep.axis import AxisValues
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.cells import plan_sweep

    base = CellSettings(
        lora="killed", prompt="a star", seed=seed, steps=3, width_px=64, height_px=64
    )
    axes = [
        AxisValues("strength", (0.0, 0.5, 1.0)), AxisValues("cfg", (1.0, 2.0, 4.0, 6.0)),
    ]  # fmt: skip
    runner = make_runner(**wires, progress=Silent(), cache=cache)
    runner.sampler.batch_limit = lambda settings: CELLS_PER_BATCH  # type: ignore[method-assign]
    with torch.inference_mode():
        runner.run(plan_sweep(base, axes))
    return runner


def in_a_worker(work: Callable[[], Any]) -> int:
    """Fork a process that does the work and nothing else."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def finished_cells(cache: Path) -> dict[str, tuple[int, int, bytes]]:
    """Cells by key: the file's own number on the disk, its time and its bytes."""
    found = {}
    for path in sorted((cache / "cells").rglob("*.png")):
        stat = path.stat()
        found[path.stem] = (stat.st_ino, stat.st_mtime_ns, path.read_bytes())
    return found


def assert_right(runner: Any, reference: Any) -> None:
    for index, picture in runner.pictures.items():
        want = np.asarray(reference.pictures[index], dtype=int)
        assert np.abs(np.asarray(picture, dtype=int) - want).max() <= 1


@pytest.mark.slow
def test_finished_cells_survive_kills(wires: dict[str, Any], tmp_path: Path) -> None:
    chance = random.Random(7)
    seed, kills, resumed = 0, 0, 0
    run_sweep(wires, tmp_path / "warm", 99)
    started = time.monotonic()
    run_sweep(wires, tmp_path / "timed", 98)
    # Whatever the machine is busy with, most workers die in the middle.
    longest_s = 1.3 * (time.monotonic() - started)
    while kills < KILLS:
        cache = tmp_path / f"cache_{seed}"
        before: dict[str, tuple[int, int, bytes]] = {}
        while True:
            child = in_a_worker(partial(run_sweep, wires, cache, seed))
            time.sleep(chance.uniform(0, longest_s))
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            after = finished_cells(cache)
            assert {key: after[key] for key in before} == before, "a finished cell was touched"
            resumed += bool(before) and len(after) > len(before)
            before = after
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0
                break
            kills += 1
            for path in (cache / "cells").rglob("*.png"):
                with Image.open(path) as picture:
                    picture.load()
            if kills == KILLS:
                break
        runner = run_sweep(wires, cache, seed)
        assert {key: own for key, own in finished_cells(cache).items() if key in before} == before
        assert len(runner.pictures) == 12
        assert_right(runner, run_sweep(wires, tmp_path / f"reference_{seed}", seed))
        seed += 1
    print(f"{kills} kills over {seed} sweeps; {resumed} workers went on from stored cells")
    assert resumed >= 5
