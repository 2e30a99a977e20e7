"""Whether pictures belong together: similarity, clusters and outliers of their vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 3
MOST_CLUSTERS = 5
CLEAR_SILHOUETTE = 0.3
"""Random directions and single clouds stay below 0.1, in the tests; two subjects reach 0.5."""
LEAST_SEPARATION = 0.1
"""Mean cosine inside of clusters above that between them. A silhouette knows no scale: a handful of
pictures that hardly differ falls into halves as well as any other."""
SMALLEST_CLUSTER_SHARE, SMALLEST_CLUSTER = 0.1, 3
FAR = 5.0
"""Robust standard deviations below the median at which a picture is an outlier."""
LEAST_GAP = 0.05
_ROUNDS = 50


@dataclass(frozen=True)
class Cohesion:
    """How a set of pictures holds together.

    Attributes:
        similarity: mean cosine of all pairs.
        outliers: numbers of pictures that resemble no other, the strangest first.
        clusters: numbers of the pictures of each clear cluster, the largest first; one cluster
            when there is no clear division.
        silhouette: of the division, from -1 to 1 (Rousseeuw 1987, cosine distance); 0 for one.
    """

    similarity: float
    outliers: tuple[int, ...]
    clusters: tuple[tuple[int, ...], ...]
    silhouette: float


def cohesion(vectors: np.ndarray) -> Cohesion:
    """Look at vectors of length 1.

    Args:
        vectors: (N, D), N at least 2. Memory is N * N.
    """
    cosines = np.clip(vectors.astype(np.float64) @ vectors.T.astype(np.float64), -1.0, 1.0)
    count = len(cosines)
    similarity = float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))
    outliers = _outliers(cosines)
    inner = np.array([i for i in range(count) if i not in set(outliers)])
    clusters, silhouette = _clusters(vectors[inner], cosines[np.ix_(inner, inner)])
    named = [tuple(int(inner[i]) for i in members) for members in clusters]
    return Cohesion(similarity, outliers, tuple(named), silhouette)


def _outliers(cosines: np.ndarray) -> tuple[int, ...]:
    """Pictures far from their own nearest neighbours, as others are from theirs."""
    near = min(NEIGHBOURS, len(cosines) - 1)
    others = cosines - 4.0 * np.eye(len(cosines))
    closeness = np.sort(others, axis=1)[:, -near:].mean(axis=1)
    middle = float(np.median(closeness))
    # 1.4826 times the median deviation is the standard deviation of a normal distribution.
    spread = 1.4826 * float(np.median(np.abs(closeness - middle)))
    far = closeness < middle - max(FAR * spread, LEAST_GAP)
    return tuple(int(i) for i in np.argsort(closeness) if far[i])


def _clusters(vectors: np.ndarray, cosines: np.ndarray) -> tuple[list[list[int]], float]:
    count = len(vectors)
    whole = [list(range(count))]
    smallest = max(SMALLEST_CLUSTER, int(SMALLEST_CLUSTER_SHARE * count))
    best: tuple[list[list[int]], float] = (whole, 0.0)
    for number in range(2, min(MOST_CLUSTERS, count // smallest) + 1):
        labels = _k_means(vectors, number)
        members = [np.flatnonzero(labels == label).tolist() for label in range(number)]
        if min(map(len, members)) < smallest or _separation(cosines, labels) < LEAST_SEPARATION:
            continue
        score = _silhouette(1 - cosines, labels, number)
        if score > max(best[1], CLEAR_SILHOUETTE):
            best = (sorted(members, key=len, reverse=True), score)
    return best


def _k_means(vectors: np.ndarray, number: int) -> np.ndarray:
    """Labels (N,) of spherical k-means; it starts from pictures that are far from each other."""
    mean = vectors.mean(axis=0)
    chosen = [int(np.argmin(vectors @ mean))]
    while len(chosen) < number:
        chosen.append(int(np.argmin((vectors @ vectors[chosen].T).max(axis=1))))
    centres = vectors[chosen]
    labels = np.full(len(vectors), -1)
    for _ in range(_ROUNDS):
        found = np.argmax(vectors @ centres.T, axis=1)
        if np.array_equal(found, labels):
            break
        labels = found
        sums = np.stack([
            vectors[labels == k].sum(axis=0) if (labels == k).any() else centres[k]
            for k in range(number)
        ])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return labels


def _separation(cosines: np.ndarray, labels: np.ndarray) -> float:
    """Mean cosine of two pictures of one cluster, less that of two from different ones."""
    same = labels[:, None] == labels[None, :]
    pairs = same & ~np.eye(len(labels), dtype=bool)
    return float(cosines[pairs].mean() - cosines[~same].mean())


def _silhouette(distances: np.ndarray, labels: np.ndarray, number: int) -> float:
    sums = np.stack([distances[:, labels == k].sum(axis=1) for k in range(number)], axis=1)
    sizes = np.bincount(labels, minlength=number)
    rows = np.arange(len(labels))
    own = sums[rows, labels] / np.maximum(sizes[labels] - 1, 1)
    means = sums / np.maximum(sizes, 1)
    means[rows, labels] = np.inf
    other = means.min(axis=1)
    return float(((other - own) / np.maximum(np.maximum(own, other), 1e-12)).mean())
