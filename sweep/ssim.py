"""Structural similarity of two pictures (Wang et al. 2004), with the window of its authors."""

from __future__ import annotations

import numpy as np

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def ssim(first: np.ndarray, second: np.ndarray, span: float = 1.0) -> float:
    """Mean over all places where the whole 11 x 11 Gaussian window fits.

    Args:
        first, second: (H, W) of one shape, each side at least 11.
        span: difference between black and white.
    """
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x * x) - mean_x**2
    var_y = _blurred(y * y) - mean_y**2
    both = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    shape = (2 * both + c2) / (var_x + var_y + c2)
    return float((light * shape).mean())


def _blurred(values: np.ndarray) -> np.ndarray:
    """Weighted means of the windows, rows first, then columns."""
    for axis in (0, 1):
        length = values.shape[axis] - WINDOW + 1
        parts = [
            weight * np.take(values, range(start, start + length), axis=axis)
            for start, weight in enumerate(_weights())
        ]
        values = np.sum(parts, axis=0)
    return values


def _weights() -> np.ndarray:
    away = np.arange(WINDOW) - WINDOW // 2
    bell = np.exp(-(away**2) / (2 * SIGMA**2))
    weights: np.ndarray = bell / bell.sum()
    return weights
