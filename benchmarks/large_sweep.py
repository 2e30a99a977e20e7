"""A sweep of 500 cells: memory that it adds, and how right its estimate is after a tenth.

    python -m benchmarks.large_sweep [--side 64]

On the demo model, with a LoRA of rank 8 on all targets; pictures of ``--side`` pixels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from devtools.comfy_import import import_comfy
from devtools.load_pack import load_pack

from .sweep_grids import PROMPT, write_lora

STEPS, SHARE = 6, 0.1


class Watcher:
    """Notes memory, and what the runner expects once a tenth is done."""

    def __init__(self) -> None:
        self.runner: Any = None
        self.peak_mib = 0.0
        self.expected: tuple[float, float] | None = None

    def update(self, done: int, total: int, *, picture: Any = None) -> None:
        """After every step, and with a picture after every batch."""
        self.peak_mib = max(self.peak_mib, anonymous_mib())

    def say(self, text: str) -> None:
        """After every batch."""
        runner = self.runner
        cells = len(runner._plan.cells)
        if self.expected is None and len(runner.outcomes) >= SHARE * cells:
            waiting = (job.cell.settings for job in runner._waiting.values())
            left = runner._estimate.seconds_for(waiting)
            self.expected = (time.monotonic(), left)

    def check_cancelled(self) -> None:
        """Nobody cancels."""

    def is_cancellation(self, error: BaseException) -> bool:
        """Nobody cancels."""
        return False


def anonymous_mib() -> float:
    """Memory of this process that is not a file's, on Linux."""
    status = Path("/proc/self/status").read_text()
    return int(next(x for x in status.splitlines() if x.startswith("RssAnon")).split()[1]) / 1024


def measure(side_px: int) -> dict[str, Any]:
    """Run it once."""
    load_pack()
    import_comfy()
    import torch

    from lora_kiln.host.demo_model import load_demo_model
    from lora_kiln.host.sweep_engine import make_runner
    from lora_kiln.sweep.axis import AxisValues
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.cells import plan_sweep

    axes = [
        AxisValues("strength", tuple(n / 10 for n in range(20))),
        AxisValues("cfg", tuple(1 + n / 4 for n in range(25))),
    ]
    base = CellSettings(prompt=PROMPT, steps=STEPS, width_px=side_px, height_px=side_px)
    plan = plan_sweep(base, axes)
    watcher = Watcher()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model, clip, vae = load_demo_model()
        path = write_lora(model, Path(folder) / "bench.safetensors")
        runner = make_runner(model, clip, vae, {"": path}, watcher, cache=Path(folder))
        watcher.runner = runner
        before, started = anonymous_mib(), time.monotonic()
        runner.run(plan)
        ended = time.monotonic()
    assert watcher.expected is not None
    at, left = watcher.expected
    return {
        "cells": len(plan.cells),
        "seconds": round(ended - started, 1),
        "added_peak_mib": round(watcher.peak_mib - before, 1),
        "expected_left_s": round(left, 1),
        "left_s": round(ended - at, 1),
        "off_by": round(left / (ended - at) - 1, 3),
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=64)
    print(json.dumps(measure(parser.parse_args().side), indent=2))


if __name__ == "__main__":
    main()
