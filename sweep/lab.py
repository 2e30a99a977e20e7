"""Colours as the eye tells them apart: sRGB to CIE L*a*b*."""

from __future__ import annotations

import numpy as np

# IEC 61966-2-1 primaries to CIE XYZ, divided by the white point D65, row by row.
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ],
    dtype=np.float32,
)
_TO_XYZ /= _TO_XYZ.sum(1, keepdims=True)
_CUT = (6 / 29) ** 3


def _linear_light() -> np.ndarray:
    """Light of each of the 256 sRGB values, 0..1 (IEC 61966-2-1)."""
    values = np.arange(256, dtype=np.float64) / 255
    low = values <= 0.04045
    return np.where(low, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LIGHT = _linear_light()


def to_lab(pixels: np.ndarray) -> np.ndarray:
    """(…, 3) uint8 sRGB -> (…, 3) float32: L* in 0..100, a* and b* about ±128 (CIE 15, D65)."""
    relative = _LIGHT[pixels] @ _TO_XYZ.T
    bent = np.where(relative > _CUT, np.cbrt(relative), relative * (841 / 108) + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    lab: np.ndarray = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)
    return lab.astype(np.float32)
