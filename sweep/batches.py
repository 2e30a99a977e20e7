"""Which cells go through the model together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def batches_of(
    items: Sequence[T],
    *,
    alike: Callable[[T], Hashable],
    limit: Callable[[T], int],
    near: Callable[[T], Hashable],
) -> list[tuple[T, ...]]:
    """As few batches as the limit allows, of about equal size.

    Args:
        items: to be drawn.
        alike: equal for what can share a batch.
        limit: most items like this one in a batch; asked once per group.
        near: equal for what should stand beside each other within its group, such as cells of
            one LoRA, so that each batch needs few.
    """
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(alike(item), []).append(item)
    return [
        batch
        for group in groups.values()
        for batch in evenly(_near(group, near), max(1, limit(group[0])))
    ]


def evenly(group: Sequence[T], limit: int) -> list[tuple[T, ...]]:
    """Parts of at most so many, in order."""
    count = -(-len(group) // limit)
    borders = [len(group) * number // count for number in range(count + 1)]
    return [tuple(group[a:b]) for a, b in pairwise(borders)]


def _near(group: Sequence[T], near: Callable[[T], Hashable]) -> list[T]:
    order = {kind: number for number, kind in enumerate(dict.fromkeys(map(near, group)))}
    return sorted(group, key=lambda item: order[near(item)])
