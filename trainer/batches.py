"""Which pictures are in which step: a pure function of (seed, step)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.seeds import permutation
from .draws import draw_chance

Bucket = tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """One picture in one step; ``slot`` is its place there and seeds its draws."""

    item: int
    slot: int


class BatchPlan:
    """Goes through all pictures once per epoch, every batch within one bucket.

    A picture of three repeats is there three times. One of 2.5 is there twice or three times, by
    turns, so that after many epochs it is 2.5 to the last show; which epochs have more differs
    from picture to picture.

    A bucket that does not fill its last batch makes a smaller one; samples, not batches, carry
    equal weight in the loss.

    Args:
        buckets: item numbers by picture size.
        batch_size: largest number of pictures in a microbatch.
        accumulate: microbatches per step.
        seed: the run's seed.
        repeats: how often each item is shown per epoch, above 0; once where it is not named.
    """

    def __init__(
        self,
        buckets: Mapping[Bucket, Sequence[int]],
        *,
        batch_size: int,
        accumulate: int,
        seed: int,
        repeats: Mapping[int, float] | None = None,
    ) -> None:
        self._buckets = {size: list(items) for size, items in sorted(buckets.items())}
        self._batch_size, self._accumulate, self._seed = batch_size, accumulate, seed
        self._repeats = {item: times for item, times in (repeats or {}).items() if times != 1}
        self._ahead: dict[int, float] = {}
        self._whole = all(float(times).is_integer() for times in self._repeats.values())
        self._starts = [0]
        self._latest: tuple[int, list[list[int]]] | None = None

    @property
    def batches_per_epoch(self) -> int:
        """Microbatches of the first epoch; of every one where all repeats are whole numbers."""
        return self._length(0)

    def step(self, step: int) -> list[list[Sample]]:
        """The microbatches of a step (numbered from 0)."""
        first = step * self._accumulate
        batches = [self._batch(first + offset) for offset in range(self._accumulate)]
        slots = iter(range(sum(map(len, batches))))
        return [[Sample(item, next(slots)) for item in batch] for batch in batches]

    def _batch(self, number: int) -> list[int]:
        epoch, position = self._place(number)
        if self._latest is None or self._latest[0] != epoch:
            self._latest = epoch, self._epoch(epoch)
        return self._latest[1][position]

    def _place(self, number: int) -> tuple[int, int]:
        """The epoch of a microbatch, and its number there."""
        if self._whole:
            if len(self._starts) == 1:
                self._starts.append(self._length(0))
            return divmod(number, self._starts[1])
        while self._starts[-1] <= number:
            self._starts.append(self._starts[-1] + self._length(len(self._starts) - 1))
        # Of epochs without a batch only the last begins below the next.
        epoch = bisect_right(self._starts, number) - 1
        return epoch, number - self._starts[epoch]

    def _length(self, epoch: int) -> int:
        counts = (len(self._shown(items, epoch)) for items in self._buckets.values())
        return sum(-(-count // self._batch_size) for count in counts)

    def _shown(self, items: list[int], epoch: int) -> list[int]:
        """The items of a bucket, each as often as it is shown in an epoch."""
        if not self._repeats:
            return items
        return [item for item in items for _ in range(self._times(item, epoch))]

    def _times(self, item: int, epoch: int) -> int:
        """How often an item is shown in an epoch: a line of its slope, cut at whole numbers."""
        times = self._repeats.get(item, 1.0)
        if float(times).is_integer():
            return int(times)
        if item not in self._ahead:
            self._ahead[item] = draw_chance(self._seed, 0, item, "repeats")
        ahead = self._ahead[item]
        return math.floor((epoch + 1) * times + ahead) - math.floor(epoch * times + ahead)

    def _epoch(self, epoch: int) -> list[list[int]]:
        batches: list[list[int]] = []
        for (width, height), items in self._buckets.items():
            shown = self._shown(items, epoch)
            order = permutation(len(shown), self._seed, epoch, f"{width}x{height}", "items")
            shuffled = [shown[i] for i in order]
            size = self._batch_size
            batches += [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
        order = permutation(len(batches), self._seed, epoch, "batches")
        return [batches[i] for i in order]
