"""Whether the LoRA acts where it was not called."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from ..groups import groups_of
from ..score import BASE, TRAINING, TRIGGER, Score, Scored, ScoreInput

FAINTEST = 0.01
"""A smaller gain in likeness with the trigger is nothing to compare with."""


def compute(given: ScoreInput) -> Scored:
    """Gain in likeness without the trigger as a share of the gain with it, other settings equal."""
    values: dict[int, float] = {}
    gains, unpaired = _gains(given), False
    texts = {c.index: without_word(c.settings.prompt, given.trigger) for c in given.cells}
    called = {c.index for c in given.cells if has_word(c.settings.prompt, given.trigger)}
    for group in groups_of(given.cells, prompts=True):
        known = [index for index in group.cells if index in gains and group.settings.has_lora]
        with_word = [index for index in known if index in called]
        for index in (index for index in known if index not in called):
            # The same prompt with the trigger where there is one.
            same = [other for other in with_word if texts[other] == texts[index]]
            gain = float(np.mean([gains[i] for i in same or with_word])) if with_word else 0.0
            if gain > FAINTEST:
                values[index] = gains[index] / gain
                unpaired = unpaired or not same
    return Scored(values, notes=_notes(given, bool(values), unpaired))


def _notes(given: ScoreInput, is_there: bool, unpaired: bool) -> tuple[str, ...]:
    if not is_there:
        return (
            f"Trigger leak needs cells whose prompts have the trigger '{given.trigger}', others "
            "of the same settings whose prompts lack it, and a likeness that the trigger raises",
        )
    if unpaired:
        return (
            "Trigger leak compares different prompts, which differ in more than the trigger: "
            "draw the same prompt with and without it",
        )
    return ()


def has_word(prompt: str, word: str) -> bool:
    """Whether a text contains the word or words, not as a part of longer ones."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", prompt, re.IGNORECASE) is not None


def without_word(prompt: str, word: str) -> str:
    """The prompt without the word and the comma after it."""
    if not word:
        return prompt
    pattern = rf"(?<!\w){re.escape(word)}(?!\w)\s*,?\s*"
    return re.sub(pattern, "", prompt, flags=re.IGNORECASE).strip(" ,")


def _gains(given: ScoreInput) -> dict[int, float]:
    vectors = given.vectors

    def likeness(cells: Iterable[int]) -> np.ndarray:
        return np.array([float((vectors.of_training @ vectors.of_cells[i]).mean()) for i in cells])

    found = likeness(given.bases) - likeness(given.bases.values())
    return dict(zip(given.bases, found.tolist(), strict=True))


SCORE = Score(
    name="trigger_leak",
    title="Trigger leak",
    doc="For prompts without the trigger word: how much the LoRA still moves the picture to the "
    "training set, as a share of what it does with the trigger and otherwise equal settings. 0 is "
    "only when called, 1 is always.",
    caveat="Draw the same prompt with and without the trigger: different prompts differ in more. A "
    "style LoRA that shall always act leaks by intent.",
    better="neither",
    needs=frozenset({BASE, TRAINING, TRIGGER}),
    compute=compute,
)
