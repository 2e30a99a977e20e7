"""What is tried with each family at full size, and what a machine needs for it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
SIDE_PX = 256
STEPS = 2
RANK = 16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One family at full size.

    Attributes:
        family: its name.
        folder: folder below ``models`` in which the stock loader looks.
        loader: class of the stock loader's node.
        loader_inputs: its inputs besides the file's name, which comes first.
        key_prefix: what stands before the network's names in the file.
        channels: of a latent.
        tokens: (T, D) of an encoded caption, as the family's text encoder makes them.
        pooled: width of the pooled output; 0 where the family has none.
        presets: modules that are to be trained, by preset.
        memory_gib: what must be free. Measured, and then some; pages of the mapped file, which
            the system takes back when it needs them, are not in it.
        disk_gib: the same of the disk.
    """

    family: str
    folder: str
    loader: str
    loader_inputs: tuple[str, ...] = ()
    key_prefix: str
    channels: int
    tokens: tuple[int, int]
    pooled: int
    presets: dict[str, int]
    memory_gib: float
    disk_gib: float


PLANS = {
    plan.family: plan
    for plan in (
        Plan(
            family="sdxl", folder="checkpoints", loader="CheckpointLoaderSimple",
            key_prefix="model.diffusion_model.", channels=4, tokens=(77, 2048), pooled=1280,
            presets={"linear": 722, "conv": 788}, memory_gib=9.0, disk_gib=7.0,
        ),
        Plan(
            family="z_image", folder="diffusion_models", loader="UNETLoader",
            loader_inputs=("default",), key_prefix="", channels=16, tokens=(64, 2560), pooled=0,
            # 30 layers of qkv, out, w1, w2, w3; four more in the refiners; 32 are modulated.
            presets={"attention_ff": 150, "all": 202}, memory_gib=17.0, disk_gib=14.0,
        ),
    )
}


def shortage(plan: Plan, folder: Path) -> str:
    """Why a plan cannot be carried out here, or nothing.

    Args:
        plan: what is to be done.
        folder: where the files would be written; it must exist.
    """
    memory = free_memory_gib()
    if memory < plan.memory_gib:
        return f"not measured: {memory:.1f} GiB of memory free, {plan.memory_gib:g} needed"
    disk = shutil.disk_usage(folder).free / GIB
    if disk < plan.disk_gib:
        return f"not measured: {disk:.1f} GiB of disk free, {plan.disk_gib:g} needed"
    return ""


def free_memory_gib() -> float:
    """Memory that a process may still take, within the limit of its container."""
    import psutil

    free = float(psutil.virtual_memory().available)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.stat")
    if os.name == "posix" and limit.is_file() and used.is_file():
        allowed = limit.read_text("ascii").strip()
        if allowed.isdigit():
            lines = (line.split() for line in used.read_text("ascii").splitlines())
            kept = {name: int(value) for name, value in lines}
            # Pages of files are given back when they are needed.
            free = min(free, int(allowed) - kept.get("anon", 0) - kept.get("kernel", 0))
    return free / GIB
