"""From pictures in memory, as nodes hand them on, to a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..core.errors import DatasetError, shorten
from .colour import parse_colour
from .items import Dataset, DatasetItem, PictureArray


def dataset_from_images(
    batches: Sequence[torch.Tensor],
    captions: Sequence[str] = (),
    *,
    subject: str = "",
    name: str = "images",
    background: str = "white",
) -> Dataset:
    """Make a dataset of image batches.

    Args:
        batches: each (B, H, W, 3 or 4) in 0..1; they may differ in size.
        captions: several texts, one per picture; or one text of one line per picture; or one
            line for all; or nothing.
        subject: value of ``{subject}`` in templates, for all pictures.
        name: what the dataset is called; pictures are named ``<name>_001`` and so on.
        background: colour behind transparent parts.

    Raises:
        DatasetError: an image is not one, or the number of captions fits neither one nor all.
    """
    parse_colour(background)
    pixels = [picture for batch in batches for picture in _pictures(batch)]
    if not pixels:
        raise DatasetError(
            "No image has arrived",
            expected="at least one IMAGE",
            remedy="Link a node that outputs images",
        )
    texts = _one_each(captions, len(pixels))
    items = tuple(
        DatasetItem(
            name=f"{name}_{number:03d}",
            source=PictureArray(f"{name}_{number:03d}", picture.numpy()),
            caption=text,
            subject=subject.strip() or None,
        )
        for number, (picture, text) in enumerate(zip(pixels, texts, strict=True), start=1)
    )
    seen_through = [
        item.name for item, picture in zip(items, pixels, strict=True)
        if picture.shape[-1] == 4 and bool((picture[..., 3] < 255).any())
    ]
    notes = (
        [f"Transparent parts were put on {background}: {shorten(seen_through)}."]
        if seen_through else []
    )
    return Dataset(items, name, background=background, notes=tuple(notes))


def _pictures(batch: torch.Tensor) -> list[torch.Tensor]:
    """The pictures of a batch as (H, W, C) uint8 on the CPU."""
    if batch.ndim != 4 or batch.shape[-1] not in (3, 4):
        raise DatasetError(
            f"An image has the shape {tuple(batch.shape)}",
            expected="batch x height x width x 3 or 4 channels",
            remedy="Link an IMAGE output, and turn masks into images first",
        )
    if not bool(torch.isfinite(batch).all()):
        raise DatasetError(
            "An image has values that are not numbers",
            expected="values from 0 to 1",
            remedy="Look at it with Preview Image; a VAE in half precision may have made it black",
        )
    scaled = (batch.detach().to("cpu", torch.float32).clamp(0, 1) * 255).round()
    return list(scaled.to(torch.uint8))


def _one_each(captions: Sequence[str], count: int) -> list[str | None]:
    """One caption per picture; an empty line is a missing one."""
    texts = list(captions) if len(captions) > 1 else "".join(captions).strip().splitlines()
    texts = texts * count if len(texts) == 1 else texts
    if texts and len(texts) != count:
        raise DatasetError(
            f"There are {len(texts)} captions for {count} images",
            expected="one for all, or one line for each",
            remedy="Add or remove lines of the caption",
        )
    return [text.strip() or None for text in texts] if texts else [None] * count
