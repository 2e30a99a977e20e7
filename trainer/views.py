"""What training sees of a picture: its latent with what the network is told about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.protocols import Cond, Denoiser, TextEmbedding
from ..dataset.prepare import TrainingItem


@dataclass(frozen=True)
class View:
    """A picture, or its mirror image.

    Attributes:
        item: latent, mask and geometry.
        cond: conditioning by its caption and geometry.
        empty_cond: the same by the empty caption; None where captions are never dropped.
    """

    item: TrainingItem
    cond: Cond
    empty_cond: Cond | None = None


def make_views(
    denoiser: Denoiser, items: Sequence[TrainingItem], empty: TextEmbedding | None = None
) -> list[tuple[View, ...]]:
    """For each picture its view, and that of its mirror image where it has one.

    Args:
        denoiser: makes the conditioning.
        items: the prepared pictures.
        empty: the encoded empty caption, if captions are to be dropped now and then.
    """
    return [
        tuple(
            _view(denoiser, seen, empty)
            for seen in (item, item.mirrored) if seen is not None
        )
        for item in items
    ]


def _view(denoiser: Denoiser, item: TrainingItem, empty: TextEmbedding | None) -> View:
    def told(text: TextEmbedding) -> Cond:
        return denoiser.condition(text, item.geometry, item.latent[None])

    return View(item, told(item.embedding), None if empty is None else told(empty))
