"""Regularisation in balance: kohya's rule, told again by the words of its loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.dataset.balance import balanced_repeats, role_notes
from lora_kiln.dataset.items import DatasetItem, PictureArray

SOURCE = PictureArray("p", np.zeros((4, 4, 3), dtype=np.uint8))


def item(role: str, repeats: float, name: str = "x") -> DatasetItem:
    return DatasetItem(name, SOURCE, "text", role=role, repeats=repeats)


def one_by_one(trained: int, own: list[int]) -> list[int]:
    """The rule as a person would do it: deal out, then go round with one more each."""
    shown, total = [0] * len(own), 0
    for index, repeats in enumerate(own):
        if total < trained:
            shown[index], total = repeats, total + repeats
    while own and total < trained:
        for index in range(len(own)):
            if total < trained:
                shown[index], total = shown[index] + 1, total + 1
    return shown


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6), st.lists(st.integers(1, 9), max_size=8)
)
def test_as_kohya_does(trained: list[int], own: list[int]) -> None:
    items = [item("train", n) for n in trained] + [item("regularisation", n) for n in own]
    shown = balanced_repeats([item("validation", 3), *items])
    assert shown[0] == 0
    assert shown[1 : 1 + len(trained)] == trained
    assert shown[1 + len(trained) :] == one_by_one(sum(trained), own)


@given(
    st.lists(st.floats(0.01, 9), min_size=1, max_size=5),
    st.lists(st.floats(0.01, 9), min_size=1, max_size=5),
)
def test_fractions_are_balanced_too(trained: list[float], own: list[float]) -> None:
    items = [item("train", n) for n in trained] + [item("regularisation", n) for n in own]
    shown = balanced_repeats(items)
    assert sum(shown[len(trained) :]) >= sum(trained) - 1e-6
    assert sum(shown[len(trained) :]) <= sum(trained) + max([1.0, *own]) + 1e-6


def test_without_anything_to_learn_nothing_is_kept() -> None:
    assert balanced_repeats([item("regularisation", 2), item("validation", 1)]) == [0, 0]
    assert balanced_repeats([item("train", 2.5)]) == [2.5]


def test_what_is_told() -> None:
    items = [
        item("train", 2, "t"), item("regularisation", 1, "a"), item("regularisation", 1, "b"),
        item("regularisation", 1, "c"), item("validation", 1, "v"),
    ]  # fmt: skip
    notes = role_notes(items, balanced_repeats(items))
    assert notes == [
        "2 regularisation pictures are shown 2 times in a round, in balance with the 2 times of "
        "the 1 pictures that are trained on.",
        "1 regularisation pictures are too many: c.",
        "1 pictures are held out and not trained on: v.",
    ]
    assert role_notes([item("train", 1)], [1.0]) == []
