"""50,000 pictures scanned, planned and linted: the first time, and from what is known of them.

    python -m benchmarks.large_dataset [--counts 12500 25000 50000]

A few hundred drawn pictures of common kinds and sizes, each with a caption, under as many names as
wanted: links, so that the disk holds them once. Every step runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from devtools.load_pack import load_pack

from .measure import cost, current_mib, peak_mib, reset_peak

ROOT = Path(__file__).resolve().parent.parent
ORIGINALS = 300
SIZES = ((384, 384), (320, 448), (512, 288), (448, 300), (256, 400), (600, 400))
PER_FOLDER = 1000
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("jpg", {"quality": 90}), ("jpg", {"quality": 80}), ("png", {}), ("webp", {"quality": 80}),
)


def make_originals(folder: Path) -> list[Path]:
    """Pictures with the noise and the edges of photographs, each with a caption beside it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    made = []
    for number in range(ORIGINALS):
        small = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        size = SIZES[number % len(SIZES)]
        picture = Image.fromarray(small).resize(size, Image.Resampling.LANCZOS)
        grain = random.integers(-6, 7, (picture.height, picture.width, 1))
        pixels = np.clip(np.asarray(picture).astype(int) + grain, 0, 255).astype(np.uint8)
        ending, options = KINDS[number % len(KINDS)]
        path = folder / f"{number}.{ending}"
        Image.fromarray(pixels).save(path, **options)
        path.with_suffix(".txt").write_text(f"a drawn picture, number {number}", encoding="utf-8")
        for file in (path, path.with_suffix(".txt")):
            os.utime(file, (0, time.time() - 86400))
        made.append(path)
    return made


def link_dataset(originals: list[Path], folder: Path, count: int) -> None:
    """The same pictures under ``count`` names, a thousand in each sub-folder."""
    for number in range(count):
        original = originals[number % len(originals)]
        below = folder / f"subject_{number // PER_FOLDER:02d}"
        below.mkdir(parents=True, exist_ok=True)
        for file in (original, original.with_suffix(".txt")):
            (below / f"{number:06d}{file.suffix}").symlink_to(file)


class Bar:
    """A progress bar that notes how often it was told."""

    def __init__(self) -> None:
        self.updates = 0
        self.longest_gap_s = 0.0
        self._last_s = time.perf_counter()

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        """One more."""
        now = time.perf_counter()
        self.longest_gap_s = max(self.longest_gap_s, now - self._last_s)
        self._last_s, self.updates = now, self.updates + 1

    def say(self, text: str) -> None:
        """Nothing."""

    def check_cancelled(self) -> None:
        """Never."""

    def is_cancellation(self, error: BaseException) -> bool:
        """Never."""
        return False


def measure_scan(folder: Path, index_file: Path) -> dict[str, float]:
    """Scan with an index, choose the bucket of every picture, and lint; in this process."""
    from lora_kiln.dataset.bucket_settings import BucketSettings
    from lora_kiln.dataset.index import PictureIndex
    from lora_kiln.dataset.latents import view_of
    from lora_kiln.dataset.lint.context import LintContext, LintSettings
    from lora_kiln.dataset.lint.run import lint
    from lora_kiln.dataset.scan import scan_folder

    idle, bar = current_mib(), Bar()
    reset_peak()
    found: dict[str, Any] = {}

    def scan() -> None:
        with PictureIndex(index_file) as index:
            found["set"] = scan_folder(folder, name="large", index=index, progress=bar)

    def plan() -> None:
        settings, counts = BucketSettings(resolution_px=256), dict[tuple[int, int], int]()
        for item in found["set"].items:
            placement = view_of(item, settings).placement
            size = (placement.bucket_w, placement.bucket_h)
            counts[size] = counts.get(size, 0) + 1
        found["buckets"] = len(counts)

    def look_through() -> None:
        context = LintContext(
            dataset=found["set"], settings=LintSettings(trigger="drawn"),
            buckets=BucketSettings(resolution_px=256), progress=Bar(),
        )
        found["report"] = lint(context)

    cpu, wall = cost(scan)
    plan_cpu, plan_wall = cost(plan)
    scan_peak = peak_mib() - idle
    lint_cpu, lint_wall = cost(look_through)
    count = len(found["set"])
    assert bar.updates == count
    return {
        "count": count, "scan_wall_s": wall, "scan_cpu_s": cpu, "files_per_s": count / wall,
        "files_per_cpu_s": count / cpu, "plan_wall_s": plan_wall, "plan_cpu_s": plan_cpu,
        "buckets": found["buckets"], "longest_gap_s": bar.longest_gap_s,
        "lint_wall_s": lint_wall, "lint_cpu_s": lint_cpu,
        "findings": len(found["report"].findings),
        "peak_added_mib": scan_peak, "peak_added_with_lint_mib": peak_mib() - idle,
    }


def compare(counts: list[int]) -> dict[str, Any]:
    """First and second scan of every size."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        originals = make_originals(Path(folder) / "originals")
        for count in counts:
            dataset, index = Path(folder) / f"set_{count}", Path(folder) / f"{count}.sqlite"
            link_dataset(originals, dataset, count)
            found[f"{count} first"] = _in_process(dataset, index)
            found[f"{count} again"] = min(
                (_in_process(dataset, index) for _ in range(2)), key=lambda run: run["scan_wall_s"]
            )
            found[f"{count} index, MiB"] = round(index.stat().st_size / 2**20, 1)
    return found


def _in_process(dataset: Path, index: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.large_dataset", "--scan", str(dataset), str(index)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    measured: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return {key: round(value, 3) for key, value in measured.items()}


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[12_500, 25_000, 50_000])
    parser.add_argument("--scan", nargs=2, metavar=("FOLDER", "INDEX"))
    arguments = parser.parse_args()
    load_pack()
    if arguments.scan:
        print(json.dumps(measure_scan(*map(Path, arguments.scan))))
    else:
        print(json.dumps(compare(arguments.counts), indent=2))


if __name__ == "__main__":
    main()
