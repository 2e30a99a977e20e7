"""Axes besides strength and CFG, whichever there are in the pack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_kiln.sweep import axis as axis_module
from lora_kiln.sweep.axis import Axis, AxisValues, Target, axes
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import SweepPlan, plan_sweep

WORDS = Axis(
    name="test_words",
    title="Words",
    doc="",
    default="",
    parse=lambda text, known: [text],
    targets=(
        Target(apply=lambda own, value: replace(own, prompt=value), label=lambda value: value),
    ),
)
SEEDS = Axis(
    name="test_seeds",
    title="Seeds",
    doc="",
    default="",
    parse=lambda text, known: [int(text)],
    targets=(
        Target(
            apply=lambda own, value: replace(own, seed=value), label=lambda value: f"seed {value}"
        ),
    ),
)


def plan_of_four_axes(monkeypatch: pytest.MonkeyPatch) -> SweepPlan:
    """3 strengths x 2 CFG scales, on pages of 2 prompts x 3 seeds."""
    known = {**axes(), WORDS.name: WORDS, SEEDS.name: SEEDS}
    monkeypatch.setattr(axis_module, "axes", lambda: known)
    chosen = [
        AxisValues("strength", (1.0, 0.5)), AxisValues("cfg", (2.0, 7.0)),
        AxisValues("test_words", ("a cat", "a dog")), AxisValues("test_seeds", (1, 2, 3)),
    ]  # fmt: skip
    return plan_sweep(CellSettings(), chosen)
