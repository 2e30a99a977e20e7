"""Which pictures are in which step."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.trainer.batches import BatchPlan

BUCKETS = {(64, 64): [0, 3, 4, 7, 9], (96, 64): [1, 2], (64, 96): [5, 6, 8]}
bucket_sets = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(
    lambda sizes: {
        (64 + 8 * i, 64): list(range(sum(sizes[:i]), sum(sizes[: i + 1])))
        for i in range(len(sizes))
    }
)


def plan(batch_size: int = 2, accumulate: int = 1, seed: int = 0) -> BatchPlan:
    return BatchPlan(BUCKETS, batch_size=batch_size, accumulate=accumulate, seed=seed)


@given(bucket_sets, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**63 - 1))
def test_every_picture_once_per_epoch_and_one_shape_per_batch(
    buckets: dict[tuple[int, int], list[int]], batch_size: int, accumulate: int, seed: int
) -> None:
    made = BatchPlan(buckets, batch_size=batch_size, accumulate=accumulate, seed=seed)
    shape_of = {item: size for size, items in buckets.items() for item in items}
    epochs = 3
    batches = [
        [sample.item for sample in batch]
        for step in range(-(-epochs * made.batches_per_epoch // accumulate))
        for batch in made.step(step)
    ]
    for epoch in range(epochs):
        own = batches[epoch * made.batches_per_epoch : (epoch + 1) * made.batches_per_epoch]
        assert Counter(item for batch in own for item in batch) == Counter(list(shape_of))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        assert len({shape_of[item] for item in batch}) == 1


def test_a_step_depends_on_nothing_but_its_number() -> None:
    forward = [plan().step(step) for step in range(30)]
    made = plan()
    assert [made.step(step) for step in reversed(range(30))] == forward[::-1]


def test_slots_number_the_samples_of_a_step() -> None:
    for step in range(10):
        samples = [sample for batch in plan(3, accumulate=3).step(step) for sample in batch]
        assert [sample.slot for sample in samples] == list(range(len(samples)))


def test_accumulating_takes_the_same_batches_in_turn() -> None:
    single = [[s.item for s in plan().step(n)[0]] for n in range(12)]
    joined = [[s.item for s in batch] for n in range(4) for batch in plan(accumulate=3).step(n)]
    assert joined == single


def test_seed_and_epoch_shuffle() -> None:
    made = plan()
    count = made.batches_per_epoch
    assert count == 3 + 1 + 2
    epochs = {str([made.step(e * count + i) for i in range(count)]) for e in range(6)}
    assert len(epochs) == 6
    seeds = {str([plan(seed=seed).step(i) for i in range(count)]) for seed in range(6)}
    assert len(seeds) == 6


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_buckets_plays_no_part(order: int) -> None:
    turned = dict(list(BUCKETS.items())[::order])
    made = BatchPlan(turned, batch_size=2, accumulate=1, seed=4)
    assert [made.step(i) for i in range(12)] == [plan(seed=4).step(i) for i in range(12)]
