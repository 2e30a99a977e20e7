"""The strength finder as a node."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from .big_images import file_images
from .chosen import CONNECTED, chosen_inputs, chosen_lora, chosen_stamp
from .files import lora_name_output
from .inputs import LARGEST_SEED
from .picture_inputs import file_prefix_input, sampler_and_size_inputs, shown_files
from .texts import workflow_texts
from .types import KILN_AXIS


class KilnFindStrength(io.ComfyNode):
    """Finds at which strength a LoRA makes pictures fall apart."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs in the order in which a person thinks of them."""
        return io.Schema(
            node_id="KilnFindStrength",
            display_name="Find Strength (Kiln)",
            category="LoRA Kiln/sweep",
            description="Finds the strengths between which a picture's subject falls apart, with "
            "few pictures: first over the whole range, then where the subject falls. Gives the "
            "highest strength that is safe, the curve, and the pictures.",
            inputs=[*_subject_inputs(), *_search_inputs(), *_sampling_inputs(), *_links()],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, lora_name: str = CONNECTED, **_values: Any) -> str:
        """A LoRA file that changed under its name is looked at anew."""
        return chosen_stamp(lora_name)

    @classmethod
    def validate_inputs(
        cls, lowest: float | None = None, highest: float | None = None,
        strengths: int | None = None,
    ) -> bool | str:
        """Refuse an empty range before the graph runs; linked values are checked when it does."""
        if lowest is None or highest is None or strengths is None:
            return True
        from ..core.errors import ConfigError
        from ..sweep.window.search import Search

        try:
            Search(lowest=lowest, highest=highest, budget=strengths)
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, model: Any, clip: Any, vae: Any, lora_name: str, prompts: str, lowest: float,
        highest: float, strengths: int, seeds: int, cfg: float, file_prefix: str,
        lora: Any = None, cfg_axis: Any = None, clip_vision: Any = None, **values: Any,
    ) -> io.NodeOutput:
        """Search, write, and hand over the answer."""
        from ..host.find_strength import FindRequest, embedding, engine, find_strength
        from ..host.paths import check_run_name
        from ..host.progress import ComfyProgress
        from ..sweep.cell_settings import CellSettings
        from ..sweep.window.rounds import Subject
        from ..sweep.window.search import Search

        path, name = chosen_lora(lora, lora_name, "Find Strength")
        request = FindRequest(
            base=CellSettings(lora=name, cfg=cfg, **values),
            subjects=tuple(
                Subject(prompt, scale)
                for scale in _scales(cfg_axis, cfg)
                for prompt in _lines(prompts)
            ),
            seeds=seeds,
            search=Search(lowest=lowest, highest=highest, budget=strengths),
            lora_name=name,
            prefix=check_run_name(file_prefix),
            embed=embedding(clip_vision),
            texts=workflow_texts(cls),
        )
        with torch.inference_mode():
            found = find_strength(
                request, engine(model, clip, vae, {name: path}), ComfyProgress(cls.hidden.unique_id)
            )
        answer = found.answer
        broken = highest if answer.first_broken is None else answer.first_broken
        return io.NodeOutput(
            answer.recommended,
            round(answer.last_coherent, 4),
            round(broken, 4),
            name,
            file_images(found.plots, found.folder),
            file_images(found.strips, found.folder),
            found.report,
            ui={"images": shown_files(found.plots), "text": [found.report]},
        )


def _lines(prompts: str) -> list[str]:
    """Prompts, one a line, each once; none is the empty prompt."""
    return list(dict.fromkeys(line.strip() for line in prompts.splitlines() if line.strip())) or [
        ""
    ]


def _scales(cfg_axis: Any, cfg: float) -> list[float]:
    """CFG scales of the axis, or the one of the widget.

    Raises:
        ConfigError: another axis than CFG is connected.
    """
    from ..core.errors import ConfigError

    if not cfg_axis:
        return [cfg]
    wrong = [values.axis.title for values in cfg_axis if values.axis_name != "cfg"]
    if wrong:
        raise ConfigError(
            f"The {wrong[0]} axis is connected to cfg_axis",
            expected="a CFG axis",
            remedy="Connect CFG Axis; prompts go into the prompts field, one a line",
        )
    return list(dict.fromkeys(scale for values in cfg_axis for scale in values.values))


def _subject_inputs() -> list[io.Input]:
    lora_name, _ = chosen_inputs("The LoRA whose strength is looked for")
    return [
        io.Model.Input("model", tooltip="The model without the LoRA."),
        io.Clip.Input("clip", tooltip="Encodes the prompts."),
        io.Vae.Input("vae", tooltip="Decodes the pictures."),
        lora_name,
        io.String.Input(
            "prompts",
            multiline=True,
            default="",
            tooltip="What to draw, one prompt a line. Each gets its own window; the strength that "
            "is recommended is safe for all. Prompts with a clear subject tell the most.",
        ),
        io.String.Input(
            "negative", multiline=True, default="", tooltip="What to keep out of the pictures."
        ),
    ]


def _search_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "lowest", default=0.0, min=0.0, max=20.0, step=0.05,
            tooltip="Lowest strength to look at. Strength 0 is always drawn, to compare with.",
        ),
        io.Float.Input(
            "highest", default=1.6, min=0.1, max=20.0, step=0.05,
            tooltip="Highest strength to look at.",
        ),
        io.Int.Input(
            "strengths", default=13, min=5, max=64,
            tooltip="Most strengths to draw: seven over the whole range, the rest where the "
            "subject falls. Fewer are drawn when the answer is clear.",
        ),
        io.Int.Input(
            "seeds", default=3, min=1, max=16,
            tooltip="Seeds for every strength: the seed below and those after it. Pictures per "
            "prompt: strengths times seeds.",
        ),
    ]


def _sampling_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "seed", default=0, min=0, max=LARGEST_SEED - 16, control_after_generate=False,
            tooltip="The first seed of the noise.",
        ),
        io.Int.Input(
            "steps", default=20, min=1, max=1000, tooltip="Sampling steps of each picture."
        ),
        io.Float.Input(
            "cfg", default=5.0, min=0.0, max=100.0, step=0.5,
            tooltip="CFG of all pictures, unless a CFG axis is connected.",
        ),
        *sampler_and_size_inputs(),
        file_prefix_input("strength"),
    ]


def _links() -> list[io.Input]:
    _, lora = chosen_inputs("")
    return [
        lora,
        KILN_AXIS.Input(
            "cfg_axis", optional=True,
            tooltip="A CFG axis: the search is made at each of its scales, and a map shows where "
            "the LoRA is safe. The strengths that come out hold for all of them.",
        ),
        io.ClipVision.Input(
            "clip_vision", optional=True,
            tooltip="A vision model (CLIP, SigLIP, DINOv2) that tells how much of the subject is "
            "left. Without one, only where edges and patches of light are is compared.",
        ),
    ]


def _outputs() -> list[io.Output]:
    return [
        io.Float.Output(
            display_name="recommended",
            tooltip="The highest strength at which the subject is whole for certain, for every "
            "prompt: connect it to the strength of the stock loader. Read the report when it "
            "seems low: seeds may differ too much to be certain of more.",
        ),
        io.Float.Output(
            display_name="last_coherent",
            tooltip="Strength at which 90 % of the subject's fall is still ahead; the highest "
            "that could be drawn where nothing falls.",
        ),
        io.Float.Output(
            display_name="first_broken",
            tooltip="Strength at which 10 % of the fall is left; the end of the range where "
            "nothing breaks.",
        ),
        # As in Train LoRA: "any" is what the server lets into the stock loader's list.
        lora_name_output("The LoRA's name"),
        io.Image.Output(
            display_name="plot",
            tooltip="The curve of each prompt with its window; last the map over CFG, if any.",
        ),
        io.Image.Output(
            display_name="pictures",
            tooltip="The pictures of each prompt, strengths by seeds, with the window over them.",
        ),
        io.String.Output(display_name="report", tooltip="What was found, in words."),
    ]


NODES = (KilnFindStrength,)
