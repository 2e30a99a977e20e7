"""Settings nodes of training: what is left alone there follows from the connected model."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..trainer.adapter_settings import AdapterSettings
from ..trainer.objective_settings import ObjectiveSettings
from .inputs import inputs_of
from .types import KILN_ADAPTER, KILN_OBJECTIVE


class KilnObjectiveSettings(io.ComfyNode):
    """What is minimised, at which noise levels, and how errors count."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs come from ``ObjectiveSettings``."""
        return io.Schema(
            node_id="KilnObjectiveSettings",
            display_name="Objective Settings (Kiln)",
            category="LoRA Kiln/training",
            description="Noise levels, loss weights and loss of a training. Left alone, they "
            "follow from the connected model. The picture shows how much of the training each "
            "noise level gets, before anything is trained.",
            inputs=[
                *inputs_of(ObjectiveSettings),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model that will be trained: the picture is drawn for it. Without "
                    "it, for SDXL.",
                ),
            ],
            outputs=[
                KILN_OBJECTIVE.Output(
                    display_name="objective", tooltip="Connect it to Train LoRA."
                ),
                io.Image.Output(
                    display_name="shares",
                    tooltip="Bars: how much each tenth of the noise schedule counts. Line: how "
                    "often it is drawn.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model: Any = None, **values: Any) -> io.NodeOutput:
        """The settings, and the picture of what they come to."""
        from ..host.shares import shares_picture

        settings = ObjectiveSettings(**values)
        return io.NodeOutput(settings, shares_picture(settings, model)[None])


class KilnAdapterSettings(io.ComfyNode):
    """Which modules a LoRA trains, and how much of each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs come from ``AdapterSettings``."""
        return io.Schema(
            node_id="KilnAdapterSettings",
            display_name="Adapter Settings (Kiln)",
            category="LoRA Kiln/training",
            description="Which parts of the model the LoRA changes: presets, block weights, and "
            "filters over module paths.",
            inputs=list(inputs_of(AdapterSettings)),
            outputs=[
                KILN_ADAPTER.Output(display_name="adapter", tooltip="Connect it to Train LoRA.")
            ],
        )

    @classmethod
    def validate_inputs(
        cls, block_weights: str | None = None, include: str | None = None,
        exclude: str | None = None,
    ) -> bool | str:
        """Refuse what cannot be read before the graph runs; linked texts are checked later."""
        from ..core.errors import ConfigError

        try:
            AdapterSettings(
                block_weights=block_weights or "", include=include or "", exclude=exclude or ""
            )
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        """The settings."""
        return io.NodeOutput(AdapterSettings(**values))


NODES = (KilnObjectiveSettings, KilnAdapterSettings)
