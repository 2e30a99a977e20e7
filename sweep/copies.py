"""How much of a copy one picture is of another, without any network.

Both are compared by the low frequencies of their L*a*b* (a perceptual hash before it is rounded
to bits), each wave times its frequency. Natural pictures carry about 1 / frequency (Field 1987),
so that all waves then count alike, and a bright sky above a dark ground no longer makes two
pictures look the same. The mean colour is left out: a copy stays one when it is tinted.

Whole pictures, mirrored ones and crops of either by up to a fifth are compared; the best match
counts. Crops cost nothing: their waves are computed from the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.dct import basis
from .look import Look

WAVES = 12
CROPS = (1.0, 0.9, 0.8)
FAINTEST = 1.0
"""RMS of L*a*b* below which there is nothing to compare: an empty picture is no copy."""
AT_ONCE = 128
"""Pictures that are cut into views together."""


def copy_likeness(pictures: Sequence[Look], others: Sequence[Look]) -> np.ndarray:
    """How alike each picture is to each other one.

    Whole pictures are compared, and where not all are square their middle squares, too.

    Args:
        pictures: P of them.
        others: Q of them.

    Returns:
        (P, Q) float32: 1 for a copy, mirrored or cropped, around 0 for unrelated pictures.
    """
    if not pictures or not others:
        return np.zeros((len(pictures), len(others)), dtype=np.float32)
    first, second = ([look.small for look in looks] for looks in (pictures, others))
    result = _best(first, second)
    if any(look.square is not look.small for look in (*pictures, *others)):
        first, second = ([look.square for look in looks] for looks in (pictures, others))
        result = np.maximum(result, _best(first, second))
    return result


def _best(pictures: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """(P, Q) of (N, N, 3) values: the best match of a view of one with the whole of the other."""
    ways = (_views_against(pictures, others), _views_against(others, pictures).T)
    return np.maximum(*ways)


def _views_against(pictures: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """(P, Q): the best match of a view of a picture with the whole of another."""
    wholes = _waves(np.stack(others), (0.0, 1.0), (0.0, 1.0))
    rows = []
    for start in range(0, len(pictures), AT_ONCE):
        some = np.stack(pictures[start : start + AT_ONCE])
        rows.append(np.maximum.reduce([view @ wholes.T for view in _views(some)]))
    return np.concatenate(rows)


def _views(values: np.ndarray) -> Iterator[np.ndarray]:
    """(K, waves) of each crop of K pictures, and of its mirror picture."""
    for share in CROPS:
        corners = (0.0,) if share == 1.0 else (0.0, (1 - share) / 2, 1 - share)
        for top in corners:
            for left in corners:
                view = _waves(values, (top, top + share), (left, left + share))
                yield view
                yield _mirrored(view)


def _waves(
    values: np.ndarray, rows: tuple[float, float], columns: tuple[float, float]
) -> np.ndarray:
    """Waves of a window of K pictures, (K, N, N, 3) -> (K, 3 * waves²) of length 1.

    Shorter where there is nothing to see.
    """
    size = values.shape[1]
    down, across = basis(size, WAVES, *rows), basis(size, WAVES, *columns)
    # (K, 3, waves down, waves across)
    waves = down @ np.moveaxis(values, -1, 1) @ across.T
    flat = (waves * _frequency()).reshape(len(values), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, FAINTEST)


def _mirrored(view: np.ndarray) -> np.ndarray:
    """Left and right exchanged: waves of odd order across change their sign."""
    signs = np.where(np.arange(WAVES) % 2, -1.0, 1.0).astype(np.float32)
    mirrored: np.ndarray = (view.reshape(-1, WAVES) * signs).reshape(view.shape)
    return mirrored


def _frequency() -> np.ndarray:
    """(waves, waves) weight of each wave; the mean has none."""
    count = np.arange(WAVES, dtype=np.float32)
    frequency: np.ndarray = np.hypot(count[:, None], count)
    return frequency
