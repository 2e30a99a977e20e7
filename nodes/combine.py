"""Several datasets as one, as a node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dataset.combine import KEEP, Part, combine
from ..dataset.items import ROLES
from ..dataset.metadata import LEAST_REPEATS, MOST_WEIGHT
from ..dataset.summary import describe
from .types import KILN_DATASET

SLOTS = 4
MOST_REPEATS = 1000.0


class KilnCombineDatasets(io.ComfyNode):
    """Puts datasets together, each shown more or less often."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Four slots, each with how often, how much, and what for."""
        return io.Schema(
            node_id="KilnCombineDatasets",
            display_name="Combine Datasets (Kiln)",
            category="LoRA Kiln/data",
            description="Puts up to four datasets together: several folders for one training, a "
            "few good pictures shown more often than many others, or regularisation pictures. "
            "Chain it for more.",
            search_aliases=["merge datasets", "regularisation", "regularization", "repeats"],
            inputs=[
                *(_dataset_input(slot) for slot in range(1, SLOTS + 1)),
                *(made for slot in range(1, SLOTS + 1) for made in _setting_inputs(slot)),
                io.String.Input(
                    "name",
                    default="combined",
                    optional=True,
                    tooltip="What the whole is called in messages and reports.",
                ),
            ],
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset", tooltip="All pictures, in the order of the inputs."
                ),
                io.Int.Output(display_name="count", tooltip="How many pictures there are."),
                io.String.Output(
                    display_name="summary",
                    tooltip="What it consists of, and what you should know about it, as text.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, dataset_1: Any, name: str = "combined", **values: Any
    ) -> io.NodeOutput:
        """Put together what is connected."""
        values["dataset_1"] = dataset_1
        parts = [
            Part(
                dataset=values[f"dataset_{slot}"],
                repeats=values.get(f"repeats_{slot}", 1.0),
                weight=values.get(f"weight_{slot}", 1.0),
                role=values.get(f"role_{slot}", KEEP),
            )
            for slot in range(1, SLOTS + 1)
            if values.get(f"dataset_{slot}") is not None
        ]
        dataset = combine(parts, name.strip() or "combined")
        return io.NodeOutput(dataset, len(dataset), describe(dataset))


def _dataset_input(slot: int) -> io.Input:
    tooltip = "Pictures with captions." if slot == 1 else "Further pictures, if you have any."
    return KILN_DATASET.Input(f"dataset_{slot}", optional=slot > 1, tooltip=tooltip)


def _setting_inputs(slot: int) -> list[io.Input]:
    which = f"pictures of dataset_{slot}"
    folded = slot > 2
    return [
        io.Float.Input(
            f"repeats_{slot}",
            default=1.0,
            min=LEAST_REPEATS,
            max=MOST_REPEATS,
            step=0.5,
            round=0.01,
            optional=True,
            advanced=folded,
            tooltip=f"How often the {which} are shown while others are shown once. It is "
            "multiplied with the repeats that they have already, as of a folder 10_name.",
        ),
        io.Float.Input(
            f"weight_{slot}",
            default=1.0,
            min=0.0,
            max=MOST_WEIGHT,
            step=0.05,
            round=0.0005,
            optional=True,
            advanced=True,
            tooltip=f"How much the {which} count in the loss, times what they have already.",
        ),
        io.Combo.Input(
            f"role_{slot}",
            options=[KEEP, *ROLES],
            default=KEEP,
            optional=True,
            advanced=folded,
            tooltip=f"What the {which} are for. keep: each as it is. train: to be learned. "
            "regularisation: shown so that the model keeps what it knew, and balanced with the "
            "others. validation: held out.",
        ),
    ]


NODES = (KilnCombineDatasets,)
