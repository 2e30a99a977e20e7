"""From a dataset to what training reads: latents and encoded captions, computed once.

Both are kept on disk under the hash of everything that decides them, so an edited picture, a
changed caption or another VAE is never trained on from yesterday's cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.errors import ConfigError, DatasetError, shorten
from ..core.protocols import ImageGeometry, Progress, TextEmbedding, TextEncoder, Vae
from ..core.settings import digest
from ..core.store import TensorStore
from .buckets import BucketSettings, Placement, place
from .colour import hex_colour
from .decode import DECODE_VERSION, decode, decode_bytes, inspect
from .items import Dataset, DatasetItem, PictureFile, sha256_of
from .tensors import owned, require_finite, require_latent

TRAIN = "train"
_MUCH_LOST = 0.1
_EXTRA = "extras."


@dataclass(frozen=True)
class TrainingItem:
    """One picture as training reads it.

    Attributes:
        name: of the picture.
        latent: (C, h, w) float32 on the CPU, scaled as the network expects.
        geometry: the sizes that SDXL is told.
        embedding: its caption, encoded, on the CPU.
        caption: the text.
        weight: how much it counts in the loss.
    """

    name: str
    latent: torch.Tensor
    geometry: ImageGeometry
    embedding: TextEmbedding
    caption: str
    weight: float


@dataclass(frozen=True)
class TrainingSet:
    """All pictures, ready.

    Attributes:
        items: in the dataset's order.
        empty_embedding: the encoding of the empty text, for caption dropout and CFG.
        fingerprint: hash of everything that decided the tensors.
        notes: what the person should know, one sentence each.
    """

    items: tuple[TrainingItem, ...]
    empty_embedding: TextEmbedding
    fingerprint: str
    notes: tuple[str, ...]

    def by_bucket(self) -> dict[tuple[int, int], list[int]]:
        """Item numbers by picture size (width, height) in pixels."""
        buckets: dict[tuple[int, int], list[int]] = {}
        for index, item in enumerate(self.items):
            size = (item.geometry.target_width_px, item.geometry.target_height_px)
            buckets.setdefault(size, []).append(index)
        return buckets


@dataclass
class _Work:
    """The tools of one preparation, and how far it is."""

    vae: Vae
    text: TextEncoder
    store: TensorStore
    progress: Progress
    total: int
    done: int = field(default=0)

    def advance(self, picture: Image.Image | None = None) -> None:
        self.done += 1
        self.progress.update(self.done, self.total, picture=picture)


def prepare(
    dataset: Dataset,
    *,
    buckets: BucketSettings,
    vae: Vae,
    text: TextEncoder,
    store: TensorStore,
    progress: Progress,
) -> TrainingSet:
    """Encode every picture and caption that is to be trained on, or read them from the store.

    Pictures whose role is not ``train`` are left out. All pictures are encoded before all
    captions, so that VAE and text encoder need not share the memory.

    Raises:
        DatasetError: captions are missing, or a picture is damaged, too small, or has changed
            since it was scanned.
        HostError: the VAE or the text encoder returned something that is not a number.
    """
    items = [item for item in dataset.items if item.role == TRAIN]
    captions = _require_captions(dataset.name, items)
    placements = _place_all(items, buckets, vae, progress)
    texts = list(dict.fromkeys([*captions, ""]))
    work = _Work(vae, text, store, progress, total=len(items) + len(texts))
    keys = [
        _latent_key(item, dataset.background, placement, vae)
        for item, (_, placement) in zip(items, placements, strict=True)
    ]
    latents = [
        _latent(item, placement, dataset.background, key, work)
        for item, (_, placement), key in zip(items, placements, keys, strict=True)
    ]
    embeddings = {caption: _embedding(caption, work) for caption in texts}
    ready = tuple(
        TrainingItem(item.name, latent, geometry, embeddings[caption], caption, item.weight)
        for item, latent, (geometry, _), caption in zip(
            items, latents, placements, captions, strict=True
        )
    )
    rows = [
        [key, _text_key(caption, text), item.weight]
        for item, key, caption in zip(items, keys, captions, strict=True)
    ]
    notes = (*dataset.notes, *_placement_notes(items, [p for _, p in placements]))
    return TrainingSet(ready, embeddings[""], digest(rows), notes)


def _require_captions(dataset_name: str, items: list[DatasetItem]) -> list[str]:
    if not items:
        raise DatasetError(
            f"The dataset '{dataset_name}' has no picture to train on",
            expected="at least one",
            remedy="Add pictures to its folder",
        )
    missing = [item.name for item in items if item.caption is None]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(items)} pictures have no caption: {shorten(missing)}",
            expected="a caption for every picture",
            remedy="Put a .txt file of the same name beside each, or use the node Template "
            "Captions (KilnTemplateCaptions)",
        )
    return [item.caption for item in items if item.caption is not None]


def _place_all(
    items: list[DatasetItem], buckets: BucketSettings, vae: Vae, progress: Progress
) -> list[tuple[ImageGeometry, Placement]]:
    if buckets.step % vae.downscale:
        raise ConfigError(
            f"step_px is {buckets.step} and the VAE makes one latent cell of {vae.downscale} "
            "pixels",
            expected="a multiple of the VAE's cell",
            remedy=f"Set step_px to a multiple of {vae.downscale}",
        )
    placed = []
    for item in items:
        progress.check_cancelled()
        facts = inspect(item.source)
        placement = place(facts.width_px, facts.height_px, buckets, name=item.name)
        geometry = ImageGeometry(
            original_width_px=facts.width_px,
            original_height_px=facts.height_px,
            crop_left_px=placement.crop_left,
            crop_top_px=placement.crop_top,
            target_width_px=placement.bucket_w,
            target_height_px=placement.bucket_h,
        )
        placed.append((geometry, placement))
    return placed


def _latent_key(
    item: DatasetItem, background: str, placement: Placement, vae: Vae
) -> dict[str, Any]:
    return {
        "kind": "latent",
        "picture": item.source.sha256,
        "background": hex_colour(background),
        "decode": DECODE_VERSION,
        "placement": dataclasses.asdict(placement),
        "vae": vae.identity,
    }


def _text_key(caption: str, text: TextEncoder) -> dict[str, Any]:
    return {"kind": "text", "caption": caption, "text": text.identity}


def _latent(
    item: DatasetItem, placement: Placement, background: str, key: dict[str, Any], work: _Work
) -> torch.Tensor:
    """(C, h, w) float32, from the store or from the VAE."""
    work.progress.check_cancelled()
    shown: list[Image.Image] = []

    def make() -> dict[str, torch.Tensor]:
        picture = cut(_decode_unchanged(item, background), placement)
        shown.append(picture)
        pixels = torch.from_numpy(np.array(picture)).to(torch.float32)[None] / 255
        latent = owned(work.vae.encode(pixels)).to(torch.float32)
        require_latent(latent, placement, item.name, work.vae.downscale)
        return {"latent": latent[0]}

    stored = work.store.get_or_make(key, make)
    work.advance(shown[0] if shown else None)
    return owned(stored["latent"])


def cut(picture: Image.Image, placement: Placement) -> Image.Image:
    """Resize a picture to cover its bucket and cut it at the centre."""
    size = (placement.resized_w, placement.resized_h)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = placement.crop_left, placement.crop_top
    return picture.crop((left, top, left + placement.bucket_w, top + placement.bucket_h))


def _decode_unchanged(item: DatasetItem, background: str) -> Image.Image:
    """Decode, but only what the hash in the cache key stands for."""
    source = item.source
    if not isinstance(source, PictureFile):
        return decode(source, background).image
    data = source.read()
    if sha256_of(data) != source.sha256:
        raise DatasetError(
            f"{item.name} has changed since its folder was read",
            expected="files that stay as they are while the graph runs",
            remedy="Queue the graph again",
        )
    return decode_bytes(data, source.name, background).image


def _embedding(caption: str, work: _Work) -> TextEmbedding:
    """Encode one caption, or read it from the store."""
    work.progress.check_cancelled()
    make = _text_maker(caption, work.text)
    stored = work.store.get_or_make(_text_key(caption, work.text), make)
    work.advance()
    tensors = {name: owned(tensor) for name, tensor in stored.items()}
    extras = {n.removeprefix(_EXTRA): t for n, t in tensors.items() if n.startswith(_EXTRA)}
    return TextEmbedding(tensors["tokens"], tensors.get("pooled"), extras)


def _text_maker(caption: str, text: TextEncoder) -> Callable[[], dict[str, torch.Tensor]]:
    def make() -> dict[str, torch.Tensor]:
        embedding = text.encode(caption)
        tensors = {"tokens": embedding.tokens}
        if embedding.pooled is not None:
            tensors["pooled"] = embedding.pooled
        tensors |= {_EXTRA + name: tensor for name, tensor in embedding.extras.items()}
        for tensor in tensors.values():
            require_finite(tensor, f"the caption '{caption}'", "text encoder")
        return {name: owned(tensor) for name, tensor in tensors.items()}

    return make


def _placement_notes(items: list[DatasetItem], placements: list[Placement]) -> list[str]:
    lost = [
        f"{item.name} ({placement.area_lost_fraction:.0%})"
        for item, placement in zip(items, placements, strict=True)
        if placement.area_lost_fraction > _MUCH_LOST
    ]
    return [f"More than a tenth is cut off from {shorten(lost)}."] if lost else []
