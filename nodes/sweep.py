"""The sweep as a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..sweep.cell_settings import CellSettings
from ..sweep.file_settings import SweepFileSettings
from ..sweep.lora_names import catalogue
from .big_images import cell_images, file_images
from .chosen import CONNECTED, chosen_inputs, chosen_lora, chosen_stamp
from .inputs import LARGEST_SEED, inputs_of, settings_of
from .picture_inputs import file_prefix_input, sampler_and_size_inputs, shown_files
from .texts import workflow_texts
from .types import KILN_AXIS, KILN_SWEEP


class KilnSweep(io.ComfyNode):
    """Draws a grid over axes such as strength and CFG."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs in the order in which a person thinks of them."""
        return io.Schema(
            node_id="KilnSweep",
            display_name="Sweep (Kiln)",
            category="LoRA Kiln/sweep",
            description="Draws what LoRAs do over strengths, CFG scales, checkpoints, prompts and "
            "more, as labelled grids with a table. What was drawn before is not drawn again. "
            "Cells are sampled together and equal what the stock loader and sampler draw; one "
            "cell of every sweep is checked.",
            inputs=[
                *_subject_inputs(), *_axis_inputs(), *_sampling_inputs(),
                *inputs_of(SweepFileSettings),
            ],
            outputs=[
                io.Image.Output(
                    display_name="grid", tooltip="The labelled grid; one picture per page."
                ),
                io.Image.Output(
                    display_name="cells", tooltip="The single pictures, row by row."
                ),
                KILN_SWEEP.Output(display_name="sweep", tooltip="The sweep with all figures."),
                io.String.Output(display_name="table", tooltip="The table as CSV."),
                io.Image.Output(
                    display_name="diff",
                    tooltip="The grid with how far each pixel is from the picture without the "
                    "LoRA; one picture per page.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, lora_name: str = CONNECTED, **_values: Any) -> str:
        """A LoRA file that changed under its name is swept anew."""
        return chosen_stamp(lora_name)

    @classmethod
    def execute(
        cls, model: Any, clip: Any, vae: Any, lora_name: str, mode: str, file_prefix: str,
        lora: Any = None, axis_1: Any = None, axis_2: Any = None, axis_3: Any = None,
        **values: Any,
    ) -> io.NodeOutput:
        """Plan, draw, write."""
        from ..host.paths import check_run_name, resolve_lora
        from ..host.progress import ComfyProgress
        from ..host.sweep_engine import make_runner
        from ..host.sweep_files import finish
        from ..sweep.cells import plan_sweep
        from ..sweep.table import to_csv

        prefix = check_run_name(file_prefix)
        chosen = [*(axis_1 or ()), *(axis_2 or ()), *(axis_3 or ())]
        files: dict[str, Path] = {}
        if not any(values.axis.source == "loras" for values in chosen):
            path, name = chosen_lora(lora, lora_name, "Sweep")
            files[name] = path
        base = replace(settings_of(CellSettings, values), lora=next(iter(files), ""))
        plan = plan_sweep(base, chosen)
        used = {cell.settings.lora for cell in plan.cells if cell.settings.has_lora}
        files |= {name: resolve_lora(name) for name in sorted(used - set(files))}
        progress = ComfyProgress(cls.hidden.unique_id)
        runner = make_runner(model, clip, vae, files, progress, mode)
        about: dict[str, Any] = {
            "title": _title(plan, list(files)), "prefix": prefix, "texts": workflow_texts(cls),
            "settings": settings_of(SweepFileSettings, values),
        }  # fmt: skip
        try:
            with torch.inference_mode():
                runner.run(plan)
        except BaseException:
            # Cancel, too: what was drawn until now may be hours of work.
            if runner.pictures:
                hurried = replace(about["settings"], diff_view=False, strip_axis="none")
                finish(runner, plan, **{**about, "settings": hurried})
            raise
        result = finish(runner, plan, **about, say=progress.say)
        progress.say("\n".join(result.notes))
        return io.NodeOutput(
            file_images(result.pages, result.folder),
            cell_images(result),
            result,
            to_csv(result.rows),
            _differences(result),
            ui={"images": shown_files(result.pages), "kiln_sweep": [_summary(result)]},
        )


def _title(plan: Any, loras: list[str]) -> str:
    """What all cells have in common; what an axis sets stands beside the rows and columns."""
    runs = {entry.run for entry in catalogue(loras)}
    several = f"{len(loras)} LoRAs of {runs.pop()}" if len(runs) == 1 else f"{len(loras)} LoRAs"
    subject = loras[0] if len(loras) == 1 else several.removesuffix(" of ")
    told: dict[str, Callable[[CellSettings], str]] = {
        "sampler": lambda own: own.sampler,
        "steps": lambda own: f"{own.steps} steps",
        "seed": lambda own: f"seed {own.seed}",
    }
    each = [cell.settings for cell in plan.cells]
    own = [tell(each[0]) for tell in told.values() if len(set(map(tell, each))) == 1]
    prompts = {settings.prompt for settings in each}
    prompt = prompts.pop() if len(prompts) == 1 else ""
    parts = [part for part in (subject, ", ".join(own)) if part]
    return " · ".join(parts) + (f": {prompt}" if prompt else "")


def _subject_inputs() -> list[io.Input]:
    lora_name, lora = chosen_inputs("The LoRA to look at")
    return [
        io.Model.Input("model", tooltip="The model without the LoRA."),
        io.Clip.Input("clip", tooltip="Encodes the prompts."),
        io.Vae.Input("vae", tooltip="Decodes the pictures."),
        lora_name,
        io.String.Input(
            "prompt",
            multiline=True,
            default="",
            tooltip="What to draw, written as for the stock prompt node.",
        ),
        io.String.Input(
            "negative", multiline=True, default="", tooltip="What to keep out of the picture."
        ),
        lora,
    ]


def _axis_inputs() -> list[io.Input]:
    places = ("rows", "columns", "pages")
    return [
        KILN_AXIS.Input(
            f"axis_{number}",
            optional=True,
            tooltip=f"What varies over the {place}: Strength, CFG, Checkpoint, Prompt, Seed or "
            "another axis. Any number more can be chained to it.",
        )
        for number, place in enumerate(places, start=1)
    ]


def _sampling_inputs() -> list[io.Input]:
    def number(name: str, default: int, low: int, high: int, tip: str, step: int = 1) -> io.Input:
        return io.Int.Input(name, default=default, min=low, max=high, step=step, tooltip=tip)

    seed_tip = "Seed of the noise, the same for all cells unless an axis varies it."
    return [
        io.Int.Input(
            "seed", default=0, min=0, max=LARGEST_SEED, control_after_generate=False,
            tooltip=seed_tip,
        ),
        number("steps", 20, 1, 1000, "Sampling steps of each picture."),
        io.Float.Input(
            "cfg", default=5.0, min=0.0, max=100.0, step=0.5,
            tooltip="CFG where no axis varies it.",
        ),
        io.Float.Input(
            "strength", default=1.0, min=-20.0, max=20.0, step=0.05,
            tooltip="LoRA strength where no axis varies it; strength 0 is drawn beside it.",
        ),
        *sampler_and_size_inputs(),
        io.Combo.Input(
            "mode", options=["auto", "batched", "exact", "estimate"], default="auto",
            tooltip="auto: cells together, one of them checked against the stock loader, and "
            "exact mode when it differs. exact: the stock loader patches every strength. "
            "batched: never exact. estimate: draws nothing, shows what was drawn before and how "
            "long the rest would take.",
        ),
        file_prefix_input("sweep"),
    ]


def _differences(result: Any) -> Any:
    """The pages, or what tells a node behind why there are none."""
    if result.diff_pages:
        return file_images(result.diff_pages, result.folder)
    return ExecutionBlocker("Sweep drew no difference pictures: switch on diff_view in it.")


def _summary(result: Any) -> dict[str, Any]:
    return {
        "folder": str(result.folder.relative_to(folder_paths.get_output_directory())),
        "notes": list(result.notes),
        "rows": list(result.rows),
    }


NODES = (KilnSweep,)
