"""How often each picture is shown in one round: repeats, and regularisation in balance.

The rule for regularisation pictures is kohya's (sd-scripts, ``train_util.DreamBoothDataset``,
February 2026), so that a folder trained there and here means the same: they are taken in order,
each with its own repeats, until they are shown as often as the pictures that are trained on; those
that are left are not used. Where all together are too few, each in turn is shown once more until
it is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..core.errors import shorten
from .items import REGULARISATION, TRAIN, VALIDATION, DatasetItem


def balanced_repeats(items: Sequence[DatasetItem]) -> list[float]:
    """How often each is shown; 0 for what is not trained on.

    Args:
        items: of all roles.
    """
    shown = [item.repeats if item.role == TRAIN else 0.0 for item in items]
    own = [index for index, item in enumerate(items) if item.role == REGULARISATION]
    wanted, total = sum(shown), 0.0
    for index in own:
        if total >= wanted:
            break
        shown[index] = items[index].repeats
        total += shown[index]
    if own and total < wanted:
        # Each is shown so often more; the first few of them once more than the others.
        missing = wanted - total
        rounds = int(missing // len(own))
        total += rounds * len(own)
        for index in own:
            shown[index] += rounds + (1 if total < wanted else 0)
            total += 1 if total < wanted else 0
    return shown


def shown_items(items: Sequence[DatasetItem], times: Sequence[float]) -> list[DatasetItem]:
    """The pictures that are shown at all, with how often as their repeats."""
    return [
        replace(item, repeats=often)
        for item, often in zip(items, times, strict=True)
        if often > 0
    ]


def role_notes(items: Sequence[DatasetItem], shown: Sequence[float]) -> list[str]:
    """What the person should know about pictures that are not simply trained on."""
    trained = [item for item in items if item.role == TRAIN]
    own = [(it, times) for it, times in zip(items, shown, strict=True) if it.role == REGULARISATION]
    held = [item.name for item in items if item.role == VALIDATION]
    notes = []
    if own and trained:
        notes.append(
            f"{sum(1 for _, times in own if times)} regularisation pictures are shown "
            f"{sum(times for _, times in own):g} times in a round, in balance with the "
            f"{sum(item.repeats for item in trained):g} times of the {len(trained)} pictures that "
            "are trained on."
        )
    unused = [item.name for item, times in own if not times]
    if unused and trained:
        notes.append(f"{len(unused)} regularisation pictures are too many: {shorten(unused)}.")
    if held:
        notes.append(f"{len(held)} pictures are held out and not trained on: {shorten(held)}.")
    return notes
