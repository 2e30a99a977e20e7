"""Everything is drawn once, in few batches of even size."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.sweep.batches import batches_of

Item = tuple[int, int, int]
"""A number of its own, what it must share, and what it should stand beside."""


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(-1, 9),
)
def test_all_are_drawn_once_in_batches_of_even_size(
    kinds: list[tuple[int, int]], limit: int
) -> None:
    items = [(number, *kind) for number, kind in enumerate(kinds)]
    batches = batches_of(
        items, alike=lambda i: i[1], limit=lambda i: limit + i[1], near=lambda i: i[2]
    )
    assert Counter(item for batch in batches for item in batch) == Counter(items)
    sizes: dict[int, list[int]] = {}
    for batch in batches:
        assert {item[1] for item in batch} == {batch[0][1]}
        assert 1 <= len(batch) <= max(1, limit + batch[0][1])
        sizes.setdefault(batch[0][1], []).append(len(batch))
    assert all(max(own) - min(own) <= 1 for own in sizes.values())
    for kind in sizes:
        near = [item[2] for batch in batches for item in batch if item[1] == kind]
        changes = sum(a != b for a, b in pairwise(near))
        assert changes == len(set(near)) - 1


def test_the_limit_is_asked_once_per_group() -> None:
    asked: list[Item] = []

    def limit(item: Item) -> int:
        asked.append(item)
        return 2

    items = [(n, n % 2, 0) for n in range(10)]
    batches_of(items, alike=lambda i: i[1], limit=limit, near=lambda i: i[2])
    assert len(asked) == 2
