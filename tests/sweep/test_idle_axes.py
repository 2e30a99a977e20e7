"""Axes whose rows must all be equal are named before anything is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import plan_sweep
from lora_kiln.sweep.idle_axes import idle_axes

BASE = CellSettings(prompt="a boat", negative="red", cfg=4.0)
LORAS = AxisValues("checkpoint", ("none", "a.safetensors", "b.safetensors"))
NEGATIVES = AxisValues("negative", ("", "blurry"))
SCALES = AxisValues("cfg", (1.0, 2.0, 4.0))
BLOCKS = AxisValues("blocks", ("", "only mid"))


def told(*axes: AxisValues, always: bool = False, text: bool = True, **changes: Any) -> list[str]:
    plan = plan_sweep(replace(BASE, **changes), list(axes))
    settled = {
        c.index: c.settings if text else replace(c.settings, clip_strength=None)
        for c in plan.cells
    }
    return idle_axes(plan, settled, always_reads_negative=always)


@pytest.mark.parametrize("axis", [LORAS, BLOCKS], ids=["checkpoint", "blocks"])
def test_loras_at_strength_0(axis: AxisValues) -> None:
    (note,) = told(axis, SCALES, strength=0.0)
    assert note.startswith(f"nothing can change along the {axis.axis.title} axis: no cell has a ")
    assert "add a Strength axis" in note
    assert told(axis, SCALES) == []
    assert told(axis, AxisValues("strength", (0.0, 1.0)), strength=0.0) == []


def test_a_negative_prompt_at_scale_1() -> None:
    (note,) = told(NEGATIVES, cfg=1.0)
    assert "the Negative axis: at CFG 1 the negative prompt is left out" in note
    assert told(NEGATIVES) == []
    assert told(NEGATIVES, SCALES, cfg=1.0) == []
    # Some samplers, and some nodes, look at it all the same.
    assert told(NEGATIVES, cfg=1.0, sampler="euler_cfg_pp") == []
    assert told(NEGATIVES, cfg=1.0, always=True) == []


def test_words_that_stand_in_the_negative_prompt_alone() -> None:
    words = AxisValues("replace", (("red", "red"), ("red", "blue")))
    assert "the Replace axis: at CFG 1" in told(words, cfg=1.0)[0]
    assert told(words) == []


def test_a_scale_between_equal_prompts() -> None:
    (note,) = told(SCALES, prompt="", negative="")
    assert "the CFG axis: prompt and negative prompt are the same" in note
    assert told(SCALES, prompt="") == []


def test_blocks_of_a_lora_on_the_text_encoders_alone() -> None:
    strengths = AxisValues("strength", (0.0, 1.0), "clip")
    assert "text encoders have no blocks" in told(BLOCKS, strengths, strength=0.0)[0]


def test_a_strength_for_what_the_lora_does_not_have() -> None:
    strengths = AxisValues("strength", (0.0, 0.5, 1.0), "clip")
    assert told(strengths) == []
    assert "the Strength axis: the LoRA has no part" in told(strengths, text=False)[0]


def test_plans_without_axes_and_axes_of_one_value() -> None:
    assert told(AxisValues("seed", (1,)), SCALES) == []
    plan = plan_sweep(BASE, [])
    assert idle_axes(replace(plan, axes=()), {c.index: c.settings for c in plan.cells}) == []
