"""In which blocks of the network the LoRA is applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..block_mask import EVERYWHERE, read_mask
from ..cell_settings import CellSettings
from ..lora_names import NO_LORA, NO_LORA_LABEL
from ..name_values import counted

WHAT = "The blocks axis"


def parse(text: str, _known: Sequence[str]) -> list[str]:
    """One mask a line; what is everywhere is the empty mask."""
    lines = (" ".join(line.split()).lower() for line in text.splitlines())
    masks = [_mask(line) for line in lines if line]
    return counted(masks, WHAT, example="one mask on each line: all, only in4, not mid, in=0.5")


def _mask(line: str) -> str:
    if line == NO_LORA:
        return line
    return "" if read_mask(line).is_everywhere else line


def apply(settings: CellSettings, value: str) -> CellSettings:
    """The LoRA there alone, or nowhere."""
    return settings.without_lora() if value == NO_LORA else replace(settings, blocks=value)


def label(value: str) -> str:
    """As it was written."""
    return NO_LORA_LABEL if value == NO_LORA else value or f"{EVERYWHERE} blocks"


AXIS = Axis(
    name="blocks",
    title="Blocks",
    doc="Where in the network the LoRA is applied, one mask on each line: all, only in4, "
    "out0-out2, not mid, or factors such as in=0.5, mid=0. Blocks are called as in block_weights "
    "of Adapter Settings: in0, mid, out0, double3, layer7. Where no other axis shows it, the model "
    "without the LoRA is added.",
    default="all\nonly in\nonly mid\nonly out",
    parse=parse,
    targets=(Target(apply=apply, label=label),),
    multiline=True,
    baseline=NO_LORA,
    spare_baseline=True,
    late=True,
)
