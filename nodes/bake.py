"""The strength that a sweep led to, as a file of its own."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..lora_format.strength import StrengthSettings
from .chosen import CONNECTED, chosen_inputs, chosen_lora, chosen_stamp
from .edit_files import NamesFile
from .files import file_outputs, model_inputs, told_output
from .inputs import inputs_of, settings_of
from .types import KILN_LORA


class KilnBakeStrength(NamesFile):
    """Writes a LoRA whose strength 1 is the chosen strength."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A LoRA and a name; settings come from ``StrengthSettings``."""
        lora_name, lora = chosen_inputs("The LoRA to bake")
        return io.Schema(
            node_id="KilnBakeStrength",
            display_name="Bake Strength (Kiln)",
            category="LoRA Kiln/sweep",
            description="Writes a LoRA file whose strength 1 is the strength you chose, for "
            "example by a sweep, and proves that it is the same. The source stays as it is.",
            search_aliases=["lora strength", "scale lora", "lora weight", "multiply lora"],
            inputs=[
                lora_name,
                io.String.Input(
                    "name", default="",
                    tooltip="Name of the new file, in models/loras/kiln. Empty: the source's with "
                    "the strength behind it. One that is taken by another LoRA gets -v2 and so on; "
                    "nothing is overwritten.",
                ),
                *inputs_of(StrengthSettings), lora, *model_inputs(),
            ],
            outputs=[
                *file_outputs("The strength, and how near the new file is to the source at it."),
                KILN_LORA.Output(
                    display_name="lora",
                    tooltip="The new file, for the lora input of a Sweep: to see that it is so.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        """An empty name is made of the source's."""
        return super().validate_inputs(name=name or None)

    @classmethod
    def fingerprint_inputs(cls, lora_name: str | None = None, **_: Any) -> str:
        """Bake again when the file changed."""
        return chosen_stamp(lora_name)

    @classmethod
    def execute(
        cls, lora_name: str = CONNECTED, name: str = "", lora: Any = None, model: Any = None,
        clip: Any = None, **values: Any,
    ) -> io.NodeOutput:
        """Bake and publish."""
        from ..host.lora_edit import StrengthRequest, bake_in_comfy
        from ..host.progress import ComfyProgress

        request = StrengthRequest(
            source=chosen_lora(lora, lora_name, "Bake Strength")[0], name=name, model=model,
            clip=clip, settings=settings_of(StrengthSettings, values),
        )
        made, report = bake_in_comfy(request, ComfyProgress(cls.hidden.unique_id))
        told = told_output(cls, "kiln_bake", made.loader_name, report)
        return io.NodeOutput(*told.args, made, ui=told.ui)


NODES = (KilnBakeStrength,)
