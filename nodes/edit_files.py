"""LoRA files as nodes: merge, resize and extract."""

from __future__ import annotations

from typing import Any

import folder_paths
from comfy_api.latest import io

from ..lora_format.extract import ExtractSettings
from ..lora_format.merge import MergeSettings
from ..lora_format.resize import ResizeSettings
from .files import (
    CATEGORY,
    OfLoraFile,
    file_outputs,
    file_stamp,
    lora_input,
    model_inputs,
    told_output,
)
from .inputs import inputs_of, settings_of

NONE = "none"
MOST_LORAS, FEWEST_LORAS = 4, 2
LARGEST_WEIGHT, WEIGHT_STEP = 100.0, 0.05


def _name_input(default: str) -> io.Input:
    return io.String.Input(
        "name", default=default,
        tooltip="Name of the new file, in models/loras/kiln. One that is taken by another LoRA "
        "gets -v2 and so on behind it; nothing is overwritten.",
    )


def _part_inputs() -> list[io.Input]:
    files = folder_paths.get_filename_list("loras")
    found: list[io.Input] = []
    for number in range(1, MOST_LORAS + 1):
        needed = number <= FEWEST_LORAS
        found.append(io.Combo.Input(
            f"lora_{number}",
            options=files if needed else [NONE, *files],
            tooltip="A file in models/loras, of any trainer and kind. Press R to see new ones."
            + ("" if needed else " none: leave it out."),
        ))
        found.append(io.Float.Input(
            f"weight_{number}", default=1.0, min=-LARGEST_WEIGHT, max=LARGEST_WEIGHT,
            step=WEIGHT_STEP,
            tooltip=f"How strong lora_{number} is in the sum, as strength in a loader.",
        ))
    return found


def _text_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            f"text_share_{number}", default=1.0, min=-LARGEST_WEIGHT, max=LARGEST_WEIGHT,
            step=WEIGHT_STEP, advanced=True,
            tooltip=f"Weight of lora_{number} in text encoders, in multiples of weight_{number}: "
            "1 is the same, 0 leaves them out.",
        )
        for number in range(1, MOST_LORAS + 1)
    ]


class NamesFile(io.ComfyNode):
    """A node whose new file gets the ``name`` that a person gives it."""

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        """Refuse an impossible name before the graph runs; a linked one is not known yet."""
        from ..core.errors import ConfigError
        from ..host.paths import check_run_name

        try:
            if name is not None:
                check_run_name(name)
        except ConfigError as error:
            return str(error)
        return True


class KilnMergeLoras(NamesFile):
    """Makes one LoRA of several."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Two to four files with their weights; settings come from ``MergeSettings``."""
        return io.Schema(
            node_id="KilnMergeLoras",
            display_name="Merge LoRAs (Kiln)",
            category=CATEGORY,
            description="Makes one LoRA that does what two to four do together, each with a weight "
            "of its own: exactly, or cut to a rank. They may be of different trainers and kinds.",
            search_aliases=["combine lora", "lora block merge", "concat lora", "svd"],
            inputs=[
                *_part_inputs(), _name_input("merged"), *inputs_of(MergeSettings),
                *_text_inputs(), *model_inputs(),
            ],
            outputs=file_outputs("How near the new file is to the sum."),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **values: Any) -> str:
        """Merge again when a file changed."""
        names = [values.get(f"lora_{number}") for number in range(1, MOST_LORAS + 1)]
        return "|".join(file_stamp(name) for name in names)

    @classmethod
    def execute(
        cls, name: str, model: Any = None, clip: Any = None, **values: Any
    ) -> io.NodeOutput:
        """Merge and publish."""
        from ..host.lora_edit import Part, merge_in_comfy

        parts = [
            Part(values[f"lora_{n}"], values[f"weight_{n}"], values.get(f"text_share_{n}", 1.0))
            for n in range(1, MOST_LORAS + 1) if values.get(f"lora_{n}", NONE) != NONE
        ]
        settings = settings_of(MergeSettings, values)
        return told_output(cls, "kiln_merge", *merge_in_comfy(parts, settings, name, model, clip))


class KilnResizeLora(OfLoraFile):
    """Gives a LoRA smaller ranks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A file; settings come from ``ResizeSettings``."""
        return io.Schema(
            node_id="KilnResizeLora",
            display_name="Resize LoRA (Kiln)",
            category=CATEGORY,
            description="Makes a LoRA smaller: each layer becomes the best one of a rank, or of as "
            "few ranks as keep a share of its strength. LoHa, LoKr and whole differences become "
            "plain LoRA.",
            search_aliases=["lora rank", "svd", "shrink lora", "dynamic rank"],
            inputs=[lora_input(), *inputs_of(ResizeSettings), *model_inputs()],
            outputs=file_outputs("How much of each layer is kept, and the sizes."),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, lora_name: str, model: Any = None, clip: Any = None, **values: Any
    ) -> io.NodeOutput:
        """Resize and publish."""
        from ..host.lora_edit import resize_in_comfy

        settings = settings_of(ResizeSettings, values)
        return told_output(cls, "kiln_resize", *resize_in_comfy(lora_name, settings, model, clip))


class KilnExtractLora(NamesFile):
    """Makes a LoRA of what two models differ in."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Two models; settings come from ``ExtractSettings``."""
        return io.Schema(
            node_id="KilnExtractLora",
            display_name="Extract LoRA (Kiln)",
            category=CATEGORY,
            description="Makes a LoRA of the difference between a model and the one it was made "
            "of, layer by layer. What is patched onto a model counts: merges and LoRAs of any "
            "kind can be turned into one plain LoRA.",
            search_aliases=["difference", "svd", "finetune to lora", "checkpoint to lora"],
            inputs=[
                io.Model.Input(
                    "model_tuned", tooltip="The changed model, with all LoRAs and merges on it."
                ),
                io.Model.Input(
                    "model_original",
                    tooltip="The model it was made of, and that the LoRA will be used with.",
                ),
                _name_input("extracted"),
                *inputs_of(ExtractSettings),
                io.Clip.Input(
                    "clip_tuned", optional=True,
                    tooltip="Text encoders of the changed model. Without both CLIPs only the "
                    "models are compared.",
                ),
                io.Clip.Input(
                    "clip_original", optional=True, tooltip="Text encoders of the original model."
                ),
            ],
            outputs=file_outputs("How much of each layer's difference is kept."),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, model_tuned: Any, model_original: Any, name: str,
        clip_tuned: Any = None, clip_original: Any = None, **values: Any,
    ) -> io.NodeOutput:
        """Extract and publish."""
        from ..host.lora_edit import ExtractRequest, extract_in_comfy
        from ..host.progress import ComfyProgress

        progress = ComfyProgress(cls.hidden.unique_id)
        request = ExtractRequest(
            tuned=model_tuned, original=model_original, name=name,
            clip_tuned=clip_tuned, clip_original=clip_original,
            settings=settings_of(ExtractSettings, values),
        )
        return told_output(cls, "kiln_extract", *extract_in_comfy(request, progress))


NODES = (KilnMergeLoras, KilnResizeLora, KilnExtractLora)
