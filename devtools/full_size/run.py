"""One family at full size in this process: file, stock loader, real trainer, stock matching."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..comfy_import import import_comfy
from ..load_pack import load_pack
from .plans import RANK, SIDE_PX, STEPS, Plan

T = TypeVar("T")


class StepClock:
    """Fulfils ``Progress``, and times every step from its beginning to its end.

    Attributes:
        cpu_s: CPU seconds of all threads, per step.
        wall_s: seconds per step.
        said: what a person would have read.
    """

    def __init__(self) -> None:
        self.cpu_s: list[float] = []
        self.wall_s: list[float] = []
        self.said: list[str] = []
        self._begun = (0.0, 0.0)

    def update(self, done: int, total: int, *, picture: Any = None) -> None:
        """A step has ended."""
        del done, total, picture
        self.cpu_s.append(time.process_time() - self._begun[0])
        self.wall_s.append(time.perf_counter() - self._begun[1])

    def say(self, text: str) -> None:
        """Keep a line."""
        self.said.append(text)

    def check_cancelled(self) -> None:
        """Asked before every pass; here every step has one."""
        self._begun = (time.process_time(), time.perf_counter())

    def is_cancellation(self, error: BaseException) -> bool:
        """Nobody cancels."""
        del error
        return False


def run_plan(plan: Plan, base: Path) -> dict[str, Any]:
    """Carry out a plan below a base directory of ComfyUI; returns what was measured.

    Memory is the process's resident memory in GiB. While a file is loaded, its mapped pages count
    in it too, which the system can take back; ``load_held_gib`` is without them.
    """
    load_pack()
    import_comfy(base, device="cpu", bf16_network=True)
    from lora_kiln.benchmarks.measure import peak_mib, reset_peak

    from .files import write_random
    from .matching import differing_weights

    file = base / "models" / plan.folder / f"random_{plan.family}.safetensors"
    weights, write_s = _timed(lambda: write_random(file, plan))
    imported = _held_gib()
    reset_peak()
    model, load_s = _timed(lambda: load(plan, file.name))
    report: dict[str, Any] = {
        "family": plan.family,
        "weights": weights,
        "file_gib": round(file.stat().st_size / 2**30, 2),
        "write_s": round(write_s, 1),
        "load_s": round(load_s, 1),
        "imports_held_gib": imported,
        "load_peak_gib": round(peak_mib() / 1024, 2),
        "load_held_gib": _held_gib(),
        "presets": {},
    }
    for preset in plan.presets:
        report["presets"][preset] = train_preset(plan, model, preset)
        _give_back()
        report["presets"][preset]["held_after_gib"] = _held_gib()
    report["weights_changed"] = differing_weights(model, file, plan.key_prefix)
    return report


def load(plan: Plan, file_name: str) -> Any:
    """MODEL from the stock loader's node, under inference mode as nodes run."""
    import torch

    import nodes

    kind = getattr(nodes, plan.loader)
    with torch.inference_mode():
        return getattr(kind(), kind.FUNCTION)(file_name, *plan.loader_inputs)[0]


def train_preset(plan: Plan, model: Any, preset: str) -> dict[str, Any]:
    """A whole run of the trainer, published, and matched by the stock loader's own code."""
    import torch

    from lora_kiln.benchmarks.measure import current_mib, peak_mib, reset_peak
    from lora_kiln.trainer.train import train

    from .job import WatchedDenoiser, job_for
    from .matching import match

    clock, denoiser, before = StepClock(), WatchedDenoiser(model, "bf16"), current_mib()
    reset_peak()
    with torch.inference_mode(False):
        job, identity_s = _timed(lambda: job_for(plan, model, denoiser, preset, clock))
        try:
            denoiser.settle()
            result, train_s = _timed(lambda: train(job))
        finally:
            denoiser.release()
    peak = peak_mib()
    losses = [entry["loss"] for entry in result.metrics]
    return {
        "trained": len(job.parts),
        **match(model, result.lora.path),
        "losses": losses,
        "finite": len(losses) == STEPS and all(
            loss is not None and math.isfinite(loss) for loss in losses
        ),
        "skipped": sum(entry["skipped"] for entry in result.metrics),
        "probe": [result.probe_start, result.probe_end],
        "step_cpu_s": [round(value, 1) for value in clock.cpu_s],
        "step_wall_s": [round(value, 1) for value in clock.wall_s],
        "peak_gib": round(peak / 1024, 2),
        "added_gib": round((peak - before) / 1024, 2),
        "planned_gib": round(denoiser.planned_bytes / 2**30, 2),
        "train_s": round(train_s, 1),
        "identity_s": round(identity_s, 1),
        "lora_mib": round(result.lora.path.stat().st_size / 2**20, 1),
        "lora_name": result.lora.loader_name,
        "rank": RANK,
        "side_px": SIDE_PX,
        "said": clock.said,
    }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What work returns, and its seconds."""
    begun = time.perf_counter()
    return work(), time.perf_counter() - begun


def _give_back() -> None:
    """Hand memory that is free back to the system, so that what is still held shows."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # Only glibc has it.
        trim(0)


def _held_gib() -> float:
    """Resident memory that belongs to this process alone, in GiB; 0 where nobody says."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    line = next(x for x in status.read_text("ascii").splitlines() if x.startswith("RssAnon"))
    return round(int(line.split()[1]) / 2**20, 2)
