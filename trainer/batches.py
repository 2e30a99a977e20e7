"""Which pictures are in which step: a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.seeds import permutation

Bucket = tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """One picture in one step; ``slot`` is its place there and seeds its draws."""

    item: int
    slot: int


class BatchPlan:
    """Goes through all pictures once per epoch, every batch within one bucket.

    A bucket that does not fill its last batch makes a smaller one; samples, not batches, carry
    equal weight in the loss.

    Args:
        buckets: item numbers by picture size.
        batch_size: largest number of pictures in a microbatch.
        accumulate: microbatches per step.
        seed: the run's seed.
    """

    def __init__(
        self,
        buckets: Mapping[Bucket, Sequence[int]],
        *,
        batch_size: int,
        accumulate: int,
        seed: int,
    ) -> None:
        self._buckets = {size: list(items) for size, items in sorted(buckets.items())}
        self._batch_size, self._accumulate, self._seed = batch_size, accumulate, seed
        self.batches_per_epoch = sum(
            -(-len(items) // batch_size) for items in self._buckets.values()
        )

    def step(self, step: int) -> list[list[Sample]]:
        """The microbatches of a step (numbered from 0)."""
        first = step * self._accumulate
        batches = [self._batch(first + offset) for offset in range(self._accumulate)]
        slots = iter(range(sum(map(len, batches))))
        return [[Sample(item, next(slots)) for item in batch] for batch in batches]

    def _batch(self, number: int) -> list[int]:
        epoch, position = divmod(number, self.batches_per_epoch)
        return self._epoch(epoch)[position]

    def _epoch(self, epoch: int) -> list[list[int]]:
        batches: list[list[int]] = []
        for (width, height), items in self._buckets.items():
            order = permutation(len(items), self._seed, epoch, f"{width}x{height}", "items")
            shuffled = [items[i] for i in order]
            size = self._batch_size
            batches += [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
        order = permutation(len(batches), self._seed, epoch, "batches")
        return [batches[i] for i in order]
