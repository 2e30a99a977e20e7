"""Small sums over vectors of length 1."""

from __future__ import annotations

import numpy as np


def mean_pairwise(units: np.ndarray) -> float:
    """Mean cosine over all pairs of different rows; (N, D) with N > 1."""
    count = len(units)
    whole = float(np.square(units.sum(0, dtype=np.float64)).sum())
    own = float(np.square(units, dtype=np.float64).sum())
    return (whole - own) / (count * (count - 1))


def vendi(units: np.ndarray) -> float:
    """How many different pictures there effectively are, 1..N (Vendi score, arXiv 2210.02410).

    The exponential of the entropy of the eigenvalues of the similarities divided by N.
    """
    similarities = (units @ units.T).astype(np.float64) / len(units)
    values = np.linalg.eigvalsh(similarities)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1; one without length stays as it is."""
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
