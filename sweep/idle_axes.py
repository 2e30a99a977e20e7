"""Axes along which nothing can change, told before an hour is spent on equal pictures.

A checkpoint axis while the strength is 0, a negative prompt at CFG 1: the grid would show rows that
are all the same, and look as if the LoRA did nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .cell_settings import CellSettings
from .cells import SweepPlan

WITHOUT_CFG = 1.0
"""The scale at which the host leaves the negative prompt out."""
ASKS_ANYWAY = "cfg_pp"
"""Part of the names of samplers that look at the negative prompt at any scale."""


def idle_axes(
    plan: SweepPlan, settled: Mapping[int, CellSettings], *, always_reads_negative: bool = False
) -> list[str]:
    """One sentence for each axis whose values must all give the same picture, or nothing.

    Args:
        plan: the sweep.
        settled: by cell index, the same settings for all that give one picture with these LoRAs.
        always_reads_negative: whether the negative prompt has a part at CFG 1, too.
    """
    telling = {
        index: telling_part(own, always_reads_negative=always_reads_negative)
        for index, own in settled.items()
    }
    return [
        f"nothing can change along the {axis.axis.title} axis: {_reason(plan, axis.axis_name)}"
        for number, axis in enumerate(plan.axes)
        if len(axis.values) > 1 and _is_idle(plan, number, telling)
    ]


def telling_part(settings: CellSettings, *, always_reads_negative: bool = False) -> CellSettings:
    """The settings without what has no part in the picture."""
    own = settings.canonical()
    if own.strength == 0:
        # Blocks are of the network; on text encoders there are none.
        own = replace(own, blocks="")
    if own.prompt == own.negative:
        # Guidance leads from the one to the other, and here they are the same.
        return replace(own, cfg=WITHOUT_CFG, negative="")
    reads = always_reads_negative or ASKS_ANYWAY in own.sampler
    return replace(own, negative="") if own.cfg == WITHOUT_CFG and not reads else own


def _is_idle(plan: SweepPlan, number: int, telling: Mapping[int, CellSettings]) -> bool:
    """Whether cells that differ in this axis alone are all the same."""
    seen: dict[tuple[int, ...], CellSettings] = {}
    for cell, places in zip(plan.cells, plan.places(), strict=True):
        own = telling[cell.index]
        others = (*places[:number], *places[number + 1 :])
        if seen.setdefault(others, own) != own:
            return False
    return True


def _reason(plan: SweepPlan, name: str) -> str:
    """Why, and what to do."""
    each = [cell.settings for cell in plan.cells]
    if name in ("checkpoint", "blocks") and not any(own.has_lora for own in each):
        return "no cell has a LoRA, since the strength is 0. Set strength, or add a Strength axis"
    if name == "blocks":
        return "the LoRA's strength on the model is 0, and the text encoders have no blocks"
    if name == "cfg":
        return "prompt and negative prompt are the same. Write a prompt"
    if name in ("negative", "replace") and all(own.cfg == WITHOUT_CFG for own in each):
        return "at CFG 1 the negative prompt is left out. Set cfg higher, or add a CFG axis"
    if name == "strength":
        return "the LoRA has no part for what the axis sets, or its values are all 0"
    return "all its values give the same picture"
