"""The cosine transform of a part of a picture, without cutting it out first."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=256)
def basis(pixels: int, waves: int, start: float = 0.0, end: float = 1.0) -> np.ndarray:
    """Matrix of a one-dimensional cosine transform over a window.

    Wave ``u`` of the window is ``cos(pi u t)``, where t runs from 0 to 1 through the window, times
    ``sqrt(2)`` for u > 0, integrated over each pixel and divided by the window's length: exact for
    a picture whose pixels are even squares, wherever the window begins.

    Args:
        pixels: along this side of the picture.
        waves: how many, from the mean (u = 0) upwards.
        start, end: the window, as shares of the side.

    Returns:
        (waves, pixels) float32. Multiplied with values it gives the window's coefficients.
    """
    edges = np.clip((np.arange(pixels + 1) / pixels - start) / (end - start), 0.0, 1.0)
    count = np.arange(waves)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.sqrt(2) * np.sin(np.pi * count * edges) / (np.pi * count)
    whole[0] = edges
    return np.diff(whole, axis=1).astype(np.float32)
