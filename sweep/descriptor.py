"""A picture as a vector without any network: colour, texture and layout.

It stands in where no vision model is connected. It knows nothing of what is shown; it tells
pictures of other colours, other line work or another composition apart, and no more.
"""

from __future__ import annotations

import numpy as np

from ..core.dct import basis

NAME = "pixels (colour, texture, layout)"
WEIGHTS = (0.4, 0.4, 0.2)
"""Of colour, texture and layout; the last is chance where prompts or seeds differ."""
LAYOUT = 8
LIGHT_BINS, COLOUR_BINS = 6, 8
ANGLES, SCALES = 8, 3


def describe(lab: np.ndarray) -> np.ndarray:
    """(H, W, 3) L*a*b* -> (D,) of length 1: its dot products are means of the parts' cosines."""
    parts = (_colour(lab), _texture(lab[..., 0]), _layout(lab))
    weighted = [
        _unit(part) * np.sqrt(weight) for part, weight in zip(parts, WEIGHTS, strict=True)
    ]
    return np.concatenate(weighted)


def _colour(lab: np.ndarray) -> np.ndarray:
    """Joint histogram, as square roots: their dot product is the Bhattacharyya coefficient."""
    sample = lab.reshape(-1, 3)
    # Spread over neighbours, so that a slight shift of colour is a slight change.
    counts = _spread(_histogram(sample))
    return np.sqrt(counts.ravel() / len(sample)).astype(np.float32)


def _histogram(sample: np.ndarray) -> np.ndarray:
    counts: np.ndarray = np.histogramdd(
        sample.clip([0, -99.9, -99.9], [99.9, 99.9, 99.9]),
        bins=(LIGHT_BINS, COLOUR_BINS, COLOUR_BINS),
        range=((0, 100), (-100, 100), (-100, 100)),
    )[0]
    return counts


def _spread(counts: np.ndarray) -> np.ndarray:
    """Each bin's count shared with its neighbours along every axis, nothing lost at the ends."""
    for axis in range(counts.ndim):
        for _ in range(2):
            ends = [(1, 1) if own == axis else (0, 0) for own in range(counts.ndim)]
            padded = np.pad(counts, ends, mode="edge")
            before = np.take(padded, range(counts.shape[axis]), axis)
            after = np.take(padded, range(2, counts.shape[axis] + 2), axis)
            counts = (before + 2 * counts + after) / 4
    return counts


def _texture(lightness: np.ndarray) -> np.ndarray:
    """How much edge there is in which direction, at three scales."""
    found, image = [], lightness / 100
    for _ in range(SCALES):
        if min(image.shape) < 4:
            found.append(np.zeros(ANGLES, dtype=np.float32))
            continue
        down, across = np.gradient(image)
        angle = (np.arctan2(down, across) % np.pi) / np.pi * ANGLES
        bins = angle.astype(int) % ANGLES
        strength = np.hypot(down, across)
        found.append(np.bincount(bins.ravel(), strength.ravel(), ANGLES) / strength.size)
        image = _halved(image)
    return np.sqrt(np.concatenate(found)).astype(np.float32)


def _layout(lab: np.ndarray) -> np.ndarray:
    """The lowest frequencies of each channel, the mean left out."""
    down, across = basis(lab.shape[0], LAYOUT), basis(lab.shape[1], LAYOUT)
    waves = np.einsum("uh,hwc,vw->cuv", down, lab, across, optimize=True)
    return waves.reshape(3, -1)[:, 1:].ravel().astype(np.float32)


def _halved(image: np.ndarray) -> np.ndarray:
    height, width = (size // 2 * 2 for size in image.shape)
    blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return blocks.mean((1, 3))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
