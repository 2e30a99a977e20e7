"""All pairs of 64-bit hashes that differ in few bits, without comparing all with all.

Hashes that differ in at most 7 of 64 bits differ in at most one bit of one of four quarters, so
each hash is only compared with those that share a quarter with it up to one bit: 68 look-ups each,
however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

MOST_BITS = 7
"""Largest difference that :func:`close_pairs` is sure to find."""
_QUARTERS, _QUARTER_BITS = 4, 16
_AT_ONCE = 4096
_COUNTS = np.unpackbits(np.arange(2**16, dtype=">u2").view(np.uint8)).reshape(-1, 16).sum(1)
_COUNTS = _COUNTS.astype(np.uint8)
_FLIPS = np.array([0, *(1 << bit for bit in range(_QUARTER_BITS))], dtype=np.uint16)


def bits_apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """In how many bits uint64 hashes differ, elementwise."""
    parts = np.ascontiguousarray(first ^ second).view(np.uint16).reshape(*first.shape, _QUARTERS)
    counts: np.ndarray = _COUNTS[parts].sum(-1)
    return counts


def close_pairs(hashes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """All pairs (i, j), i < j, of hashes that differ in at most ``most`` bits; each pair once.

    Equal hashes are chained, the second with the first, the third with the second, and so on:
    a thousand copies are a thousand pairs and not half a million.

    Args:
        hashes: of 64 bits.
        most: at most :data:`MOST_BITS`.
    """
    if most > MOST_BITS:
        raise ValueError(f"{most} bits are more than the {MOST_BITS} that can be searched")
    values = np.array(hashes, dtype=np.uint64)
    distinct, first, which = np.unique(values, return_index=True, return_inverse=True)
    last = first.copy()
    for index in np.flatnonzero(first[which] != np.arange(len(values))):
        yield int(last[which[index]]), int(index)
        last[which[index]] = index
    for one, other in _distinct_pairs(distinct, most):
        low, high = sorted((int(first[one]), int(first[other])))
        yield low, high


def _distinct_pairs(values: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Pairs of different hashes, by their positions; each once."""
    quarters = _quarters(values)
    orders = [np.argsort(quarters[:, q], kind="stable") for q in range(_QUARTERS)]
    for start in range(0, len(values), _AT_ONCE):
        asking = np.arange(start, min(start + _AT_ONCE, len(values)))
        found = [
            _sharing(quarters[:, q], orders[q], asking) for q in range(_QUARTERS)
        ]
        pairs = np.unique(np.concatenate(found), axis=0)
        close = bits_apart(values[pairs[:, 0]], values[pairs[:, 1]]) <= most
        yield from ((int(one), int(other)) for one, other in pairs[close])


def _quarters(values: np.ndarray) -> np.ndarray:
    """(n, 4) uint16. Neighbouring bits go to different quarters: what many drawings have in common
    (a bright ground) would fill one quarter with one value.
    """
    bits = np.unpackbits(values.astype(">u8").view(np.uint8)).reshape(-1, _QUARTER_BITS, _QUARTERS)
    packed = np.packbits(bits.transpose(0, 2, 1), axis=-1)
    return np.ascontiguousarray(packed).view(np.uint16)[..., 0]


def _sharing(quarter: np.ndarray, order: np.ndarray, asking: np.ndarray) -> np.ndarray:
    """(n, 2): each asking hash with the later ones that share this quarter up to one bit."""
    there = quarter[order]
    wanted = (quarter[asking][:, None] ^ _FLIPS[None, :]).ravel()
    low = np.searchsorted(there, wanted, "left")
    counts = np.searchsorted(there, wanted, "right") - low
    who = np.repeat(np.repeat(asking, len(_FLIPS)), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    other = order[np.repeat(low, counts) + offsets]
    kept = other > who
    return np.stack([who[kept], other[kept]], axis=1)


def groups(count: int, pairs: Iterator[tuple[int, int]]) -> list[list[int]]:
    """Which of ``count`` things hang together by pairs; groups of two and more, in order."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    members: dict[int, list[int]] = {}
    for index in range(count):
        members.setdefault(root(index), []).append(index)
    return [group for group in members.values() if len(group) > 1]
