"""Which pictures are in which step."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.trainer.batches import BatchPlan

BUCKETS = {(64, 64): [0, 3, 4, 7, 9], (96, 64): [1, 2], (64, 96): [5, 6, 8]}
# As drawn before pictures had repeats: runs that were begun then go on as they were planned.
FIRST_EPOCH_OF_SEED_0 = [[0, 3], [2, 1], [5, 6], [4], [9, 7], [8]]
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


def test_one_repeat_of_each_is_what_it_was_before_there_were_any() -> None:
    """The numbers of the plan as it was drawn by every run so far."""
    plain = [made.step(n) for made in [plan(seed=9)] for n in range(40)]
    named = BatchPlan(
        BUCKETS, batch_size=2, accumulate=1, seed=9, repeats=dict.fromkeys(range(10), 1.0)
    )
    assert [named.step(n) for n in range(40)] == plain
    first = [[sample.item for sample in plan(seed=0).step(n)[0]] for n in range(6)]
    assert first == FIRST_EPOCH_OF_SEED_0


repeated = st.lists(
    st.one_of(st.integers(1, 5).map(float), st.floats(0.05, 4.0)), min_size=1, max_size=8
)


@given(repeated, st.integers(1, 4), st.integers(0, 2**63 - 1))
def test_pictures_are_shown_as_often_as_they_are_repeated(
    times: list[float], batch_size: int, seed: int
) -> None:
    items = range(len(times))
    buckets = {(64, 64): [i for i in items if i % 2], (64, 96): [i for i in items if not i % 2]}
    made = BatchPlan(
        buckets, batch_size=batch_size, accumulate=1, seed=seed, repeats=dict(enumerate(times))
    )
    epochs = 12
    shown = Counter(
        item for epoch in range(epochs) for batch in made._epoch(epoch) for item in batch
    )
    for item, often in enumerate(times):
        assert abs(shown[item] - often * epochs) <= 1
        assert often != int(often) or shown[item] == often * epochs


@given(repeated, st.integers(1, 3), st.integers(0, 1000))
def test_steps_walk_through_the_epochs_in_order(
    times: list[float], batch_size: int, seed: int
) -> None:
    def fresh() -> BatchPlan:
        return BatchPlan(
            {(64, 64): range(len(times))}, batch_size=batch_size, accumulate=1, seed=seed,
            repeats=dict(enumerate(times)),
        )

    made = fresh()
    walked = [[sample.item for sample in made.step(step)[0]] for step in range(30)]
    listed: list[list[int]] = []
    epoch = 0
    while len(listed) < 30:
        listed += made._epoch(epoch)
        epoch += 1
    assert walked == listed[:30]
    # A run that goes on from its checkpoint draws what it would have drawn.
    assert [[s.item for s in fresh().step(step)[0]] for step in (29, 3, 17)] == [
        walked[29], walked[3], walked[17]
    ]  # fmt: skip
