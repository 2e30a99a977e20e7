"""LoRA files as nodes: convert and inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import io

from ..lora_format.convert import ConvertSettings
from .inputs import inputs_of, settings_of

CATEGORY = "LoRA Kiln/files"


def lora_input() -> io.Input:
    """A file from models/loras."""
    return io.Combo.Input(
        "lora_name",
        options=folder_paths.get_filename_list("loras"),
        tooltip="A file in models/loras, of any trainer. Press R to see new ones.",
    )


def model_inputs() -> list[io.Input]:
    """The model that a LoRA is for."""
    return [
        io.Model.Input(
            "model", optional=True,
            tooltip="The model the LoRA is for. Needed for models of odd sizes and for some DoRA; "
            "it is only read.",
        ),
        io.Clip.Input(
            "clip", optional=True,
            tooltip="Its text encoders, for LoRAs that change them on a model of odd sizes.",
        ),
    ]


def adapter_input() -> io.Input:
    """Which adapter of a file that holds several."""
    return io.String.Input(
        "adapter", default="", optional=True, advanced=True,
        tooltip="Name of the adapter to take, where a file holds several. Empty: the only one.",
    )


def lora_name_output(whose: str) -> io.Output:
    """A LoRA's name for the stock loader; ``whose`` begins the tooltip.

    The stock loader's list has no type name that an output could carry: the server compares it
    with COMBO and refuses. "Any" is what it lets through.
    """
    return io.AnyType.Output(
        display_name="lora_name",
        tooltip=f"{whose}: connect it to the lora_name of the stock loader.",
    )


def file_outputs(report: str) -> list[io.Output]:
    """The new file's name, and what was done; ``report`` is the tooltip of the latter."""
    return [
        lora_name_output("The new file's name"),
        io.String.Output(display_name="report", tooltip=report),
    ]


def told_output(node: type[io.ComfyNode], kind: str, name: str, report: str) -> io.NodeOutput:
    """What :func:`file_outputs` promise, said on the node and kept under ``kind`` for the page."""
    from ..host.progress import ComfyProgress

    ComfyProgress(node.hidden.unique_id).say(report)
    return io.NodeOutput(name, report, ui={kind: [{"lora_name": name, "report": report}]})


def file_stamp(lora_name: str | None) -> str:
    """Changes when the file does; a linked name comes with what made it."""
    if lora_name is None:
        return "linked"
    from ..core.errors import KilnError
    from ..host.paths import resolve_lora

    try:
        stat = resolve_lora(lora_name).stat()
    except (KilnError, OSError):
        return f"{lora_name}|missing"
    return f"{lora_name}|{stat.st_size}|{stat.st_mtime_ns}"


class OfLoraFile(io.ComfyNode):
    """A node that reads the file ``lora_name``."""

    @classmethod
    def fingerprint_inputs(cls, lora_name: str | None = None, **_: Any) -> str:
        """Run again when the file changed."""
        return file_stamp(lora_name)


class KilnConvertLora(OfLoraFile):
    """Turns any LoRA file into one that the stock loader reads whole."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Settings come from ``ConvertSettings``."""
        return io.Schema(
            node_id="KilnConvertLora",
            display_name="Convert LoRA (Kiln)",
            category=CATEGORY,
            description="Turns a LoRA of any trainer into one that ComfyUI reads whole, proves "
            "that it is the same, and puts it where the LoRA loader finds it. Trained words "
            "inside become embeddings.",
            search_aliases=["lora key not loaded", "kohya", "diffusers", "peft"],
            inputs=[
                lora_input(), *inputs_of(ConvertSettings), *model_inputs(), adapter_input(),
            ],
            outputs=file_outputs("What was done, and the proof."),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, lora_name: str, model: Any = None, clip: Any = None, adapter: str = "", **values: Any
    ) -> io.NodeOutput:
        """Convert and publish."""
        from ..host.lora_files import convert_in_comfy

        settings = settings_of(ConvertSettings, values)
        name, report = convert_in_comfy(
            lora_name, settings, model, clip, adapter.strip() or None
        )
        return told_output(cls, "kiln_convert", name, report)


class KilnInspectLora(OfLoraFile):
    """Tells why a LoRA does nothing, or that it is in order."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A file, and optionally the model it shall work with."""
        return io.Schema(
            node_id="KilnInspectLora",
            display_name="Inspect LoRA (Kiln)",
            category=CATEGORY,
            description="Why does my LoRA do nothing? Says in one sentence whether ComfyUI reads "
            "the file, all of it, at the strength it was trained with, and what to do if not.",
            search_aliases=["lora key not loaded", "lora info", "lora metadata"],
            inputs=[lora_input(), *model_inputs(), adapter_input()],
            outputs=[
                io.String.Output(
                    display_name="verdict", tooltip="One sentence, and the remedy in the next."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="Format, model, ranks, alphas and everything that was found.",
                ),
                io.Image.Output(
                    display_name="strengths",
                    tooltip="How much the LoRA changes each block; relative to its weights where a "
                    "model is connected.",
                ),
                io.Boolean.Output(
                    display_name="works",
                    tooltip="Whether the stock loader applies all of it as it was trained.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, lora_name: str, model: Any = None, clip: Any = None, adapter: str = ""
    ) -> io.NodeOutput:
        """Look at the file."""
        from ..host.base import connected_base
        from ..host.capabilities import comfyui_version
        from ..host.paths import resolve_lora
        from ..host.progress import ComfyProgress
        from ..lora_format.inspect import inspect
        from ..lora_format.picture import strength_chart
        from ..lora_format.told import told

        base = None if model is None else connected_base(model, clip)
        report = inspect(
            resolve_lora(lora_name), base.base if base else None, adapter.strip() or None, base,
            comfyui_version=comfyui_version(),
        )
        verdict = f"{report.verdict} {report.remedy}"
        ComfyProgress(cls.hidden.unique_id).say(verdict)
        chart: torch.Tensor = strength_chart(report.layers, Path(lora_name).name)
        return io.NodeOutput(
            verdict, told(report), chart[None], report.works,
            ui={"kiln_inspect": [{"verdict": report.verdict, "remedy": report.remedy,
                                  "works": report.works}]},
        )


NODES = (KilnConvertLora, KilnInspectLora)
