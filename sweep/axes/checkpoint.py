"""Which LoRA is applied: checkpoints of a run, or LoRAs of different runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..cell_settings import CellSettings
from ..checkpoint_values import parse_checkpoints
from ..lora_names import NO_LORA, lora_labels


def parse(text: str, known: Sequence[str]) -> list[str]:
    """Names of LoRAs as the stock loader lists them, and ``none``."""
    return parse_checkpoints(text, known)


def apply(settings: CellSettings, value: str) -> CellSettings:
    """This LoRA instead of the sweep's own, or none."""
    return settings.without_lora() if value == NO_LORA else replace(settings, lora=value)


AXIS = Axis(
    name="checkpoint",
    title="Checkpoint",
    doc="LoRAs to compare. With a run connected its steps: all, 250, 500, last 3, or a range such "
    "as 0..1500/6 for the nearest checkpoints. Without one, names as in the LoRA loader, a folder, "
    "a pattern such as *portrait*, a run (kiln/my_style-001), or steps of runs "
    "(kiln/my_style-00*: last 2). Where no other axis shows it, the model without LoRA is added.",
    default="all",
    parse=parse,
    targets=(
        Target(apply=apply, label=lambda value: lora_labels([value])[0], labels=lora_labels),
    ),
    source="loras",
    takes_run=True,
    multiline=True,
    baseline=NO_LORA,
    spare_baseline=True,
    late=True,
)
