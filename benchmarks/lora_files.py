"""Converting and inspecting LoRA files of 50 MB, 250 MB and 1 GB: seconds and memory.

    python -m benchmarks.lora_files [--sizes 50 250 1000]

The file is an SDXL LoRA in diffusers' names. Each side runs in a process of its own; its memory is
the peak over the process after its imports. Beside ours: diffusers' own conversion to Kohya's
names, and the plain way of scripts (load everything, rename, save). A copy of the file, flushed to
the disk, says what the disk can do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from devtools.load_pack import load_pack

from .measure import MIB, cost, current_mib, peak_mib, reset_peak

SIDES = ("copy", "convert", "inspect", "script", "diffusers")


def make_file(path: Path, megabytes: int) -> None:
    """An SDXL LoRA over all layers of the transformers, in bf16."""
    import torch

    from lora_kiln.core.atomic import write_tensors
    from lora_kiln.lora_format.family import families, table_of

    family, network = families()["sdxl"], table_of("sdxl")["unet"]
    names = [
        (name, network.shape(target)) for name, target in network.foreign_names().items()
        if family.is_target(target.module_path)
    ]
    rank = max(1, megabytes * 1_000_000 // (2 * sum(sum(shape[:2]) for _, shape in names)))
    generator = torch.Generator().manual_seed(0)

    def factor(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(torch.bfloat16)

    tensors = {}
    for name, (outputs, inputs, *_) in names:
        tensors[f"unet.{name}.lora_A.weight"] = factor(rank, inputs)
        tensors[f"unet.{name}.lora_B.weight"] = factor(outputs, rank)
    write_tensors(path, tensors)


def run_copy(source: Path, target: Path) -> None:
    """The file's bytes, once through."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while block := reader.read(4 * MIB):
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())


def run_convert(source: Path, target: Path) -> None:
    """Ours, with proof and hashes."""
    from lora_kiln.lora_format.convert import ConvertSettings, convert
    from lora_kiln.lora_format.read import read
    from lora_kiln.lora_format.save import save_conversion

    save_conversion(convert(read(source), ConvertSettings()), target)


def run_inspect(source: Path, target: Path) -> None:
    """Our verdict, with the norm of every layer."""
    from lora_kiln.lora_format.inspect import inspect

    inspect(source)


def run_script(source: Path, target: Path) -> None:
    """What scripts do: everything into memory, other names, out again; no alpha, no check."""
    from safetensors.torch import load_file, save_file

    renamed = {}
    for key, tensor in load_file(source).items():
        stem, end = key.removeprefix("unet.").split(".lora_")
        kind = "down" if end.startswith("A") else "up"
        renamed[f"lora_unet_{stem.replace('.', '_')}.lora_{kind}.weight"] = tensor
    save_file(renamed, target)


def run_diffusers(source: Path, target: Path) -> None:
    """diffusers' conversion to Kohya's names."""
    from diffusers.utils.state_dict_utils import convert_state_dict_to_kohya
    from safetensors.torch import load_file, save_file

    converted = convert_state_dict_to_kohya(load_file(source))
    save_file({key: tensor.contiguous() for key, tensor in converted.items()}, target)


RUNS = {
    "copy": run_copy, "convert": run_convert, "inspect": run_inspect, "script": run_script,
    "diffusers": run_diffusers,
}


def warm(side: str) -> None:
    """Import what a side needs, so that neither time nor memory of imports counts."""
    if side in ("convert", "inspect"):
        from lora_kiln.lora_format import inspect, save  # noqa: F401
        from lora_kiln.lora_format.family import families, table_of

        for family in families():
            table_of(family)
    if side == "diffusers":
        import diffusers.utils.state_dict_utils  # noqa: F401
    if side != "copy":
        import safetensors.torch  # noqa: F401


def measure_side(side: str, source: Path) -> dict[str, float]:
    """Seconds and peak memory of one run, in this process."""
    warm(side)
    idle = current_mib()
    reset_peak()
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        cpu, wall = cost(lambda: RUNS[side](source, Path(folder) / "out.safetensors"))
    added = (peak_mib() - idle) * MIB
    return {"wall_s": wall, "cpu_s": cpu, "peak_over_size": added / source.stat().st_size}


def compare(sizes: list[int], rounds: int) -> dict[str, Any]:
    """All sides on all sizes, the best of some rounds: a shared disk only ever slows down."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            source = Path(folder) / f"{size}.safetensors"
            make_file(source, size)
            runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for _ in range(rounds):
                for side in SIDES:
                    runs[side].append(_in_process(side, source))
            found[f"{size} MB"] = {
                side: {key: round(min(run[key] for run in results), 3) for key in results[0]}
                for side, results in runs.items()
            }
            source.unlink()
    return found


def _in_process(side: str, source: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.lora_files", "--side", side, str(source)]
    answer = subprocess.run(
        command, check=True, capture_output=True, text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    measured: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 250, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FILE"))
    arguments = parser.parse_args()
    load_pack()
    if arguments.side:
        side, source = arguments.side
        print(json.dumps(measure_side(side, Path(source))))
    else:
        print(json.dumps(compare(arguments.sizes, arguments.rounds), indent=2))


if __name__ == "__main__":
    main()
