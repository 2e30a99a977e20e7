"""Inputs and shown files that all nodes that draw grids share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import comfy.samplers
import folder_paths
from comfy_api.latest import io


def sampler_and_size_inputs() -> list[io.Input]:
    """Sampler, scheduler, width and height of each picture."""
    return [
        io.Combo.Input(
            "sampler", options=list(comfy.samplers.KSampler.SAMPLERS), default="euler",
            tooltip="Sampler, as in the stock KSampler.",
        ),
        io.Combo.Input(
            "scheduler", options=list(comfy.samplers.KSampler.SCHEDULERS), default="normal",
            tooltip="Scheduler, as in the stock KSampler.",
        ),
        *(
            io.Int.Input(
                name, default=1024, min=16, max=8192, step=8,
                tooltip=f"{what} of each picture in pixels.",
            )
            for name, what in (("width_px", "Width"), ("height_px", "Height"))
        ),
    ]


def file_prefix_input(default: str) -> io.Input:
    """Name of the folder that a sweep writes."""
    return io.String.Input(
        "file_prefix", default=default,
        tooltip="Name of the folder below output/kiln/sweeps that the files go to.",
    )


def shown_files(files: Iterable[Path]) -> list[dict[str, str]]:
    """Files of the output folder for a node's own picture area."""
    output = Path(folder_paths.get_output_directory())
    return [
        {"filename": f.name, "subfolder": str(f.parent.relative_to(output)), "type": "output"}
        for f in files
    ]
