"""A hash of what a picture looks like: alike for copies of it, unlike for other pictures.

pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"): the
signs of the lowest frequencies of the brightness, each against their median. Two hashes are
compared by the number of bits that differ: about 32 of unrelated pictures, a few of copies.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..core.dct import basis

HASH_VERSION = 1
"""Raise it when the bits that come out of here change."""
BITS = 64
SIDE_PX = 64
"""Pictures are averaged down to this side first: the waves below are far longer."""
_HIGHEST = 11
_FAINTEST = 0.1
"""Of 255 levels. Waves weaker than this are noise, and count as none."""


def perceptual_hash(picture: Image.Image) -> int:
    """The 64 bits of a picture, lowest frequency first; 0 of one that is even all over.

    Args:
        picture: mode RGB or L, upright.
    """
    small = picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX).convert("L")
    transform = basis(SIDE_PX, _HIGHEST)
    waves = transform @ np.asarray(small, dtype=np.float32) @ transform.T
    values = waves[_LOWEST]
    values = np.where(np.abs(values) < _FAINTEST, 0.0, values)
    bits = values > np.median(values)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def differing_bits(one: int, other: int) -> int:
    """How many of the 64 bits of two hashes differ."""
    return (one ^ other).bit_count()


def _lowest_waves() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the 64 lowest waves without the mean, by the sum of both numbers."""
    pairs = [(u, v) for u in range(_HIGHEST) for v in range(_HIGHEST) if u + v]
    pairs.sort(key=lambda pair: (sum(pair), pair))
    rows, columns = zip(*pairs[:BITS], strict=True)
    return np.array(rows), np.array(columns)


_LOWEST = _lowest_waves()
