"""From a dataset to what training reads: latents and encoded captions, computed once.

Both are kept on disk under the hash of everything that decides them, so an edited picture, a
changed caption or another VAE is never trained on from yesterday's cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from ..core.errors import ConfigError, DatasetError, shorten
from ..core.protocols import ImageGeometry, Progress, TextEmbedding, TextEncoder, Vae
from ..core.settings import digest
from ..core.store import TensorStore
from .balance import balanced_repeats, role_notes, shown_items
from .bucket_plan import views_of
from .bucket_settings import BucketSettings
from .fault_book import require_no_faults
from .items import REGULARISATION, TRAIN, Dataset, DatasetItem
from .latents import Picture, View
from .tensors import owned, require_finite

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
        mask: (1, h, w) float32 in 0..1 on the CPU: how much of every latent cell is trained on.
            None: all of it. Never zero everywhere.
        mirrored: the same mirrored left to right, with its own latent, geometry and mask; None
            unless asked for. Its own ``mirrored`` is None.
        repeats: how often it is shown while one of 1 is shown once; above 0.
        regularisation: whether it is shown so that the model keeps what it knew, and not to be
            learned.
    """

    name: str
    latent: torch.Tensor
    geometry: ImageGeometry
    embedding: TextEmbedding
    caption: str
    weight: float
    mask: torch.Tensor | None = None
    mirrored: TrainingItem | None = None
    repeats: float = 1.0
    regularisation: bool = False


@dataclass(frozen=True)
class TrainingSet:
    """All pictures, ready.

    Attributes:
        items: in the dataset's order.
        empty_embedding: the encoding of the empty text, for caption dropout and CFG.
        fingerprint: hash of everything that decided the tensors.
        notes: what the person should know, one sentence each.
        dataset_state: hash of the dataset as it was, whatever it was made into.
    """

    items: tuple[TrainingItem, ...]
    empty_embedding: TextEmbedding
    fingerprint: str
    notes: tuple[str, ...]
    dataset_state: str = ""

    def by_bucket(self) -> dict[tuple[int, int], list[int]]:
        """Item numbers by picture size (width, height) in pixels."""
        buckets: dict[tuple[int, int], list[int]] = {}
        for index, item in enumerate(self.items):
            size = (item.geometry.target_width_px, item.geometry.target_height_px)
            buckets.setdefault(size, []).append(index)
        return buckets

    def repeats(self) -> dict[int, float]:
        """How often each item is shown per round, by its number."""
        return {index: item.repeats for index, item in enumerate(self.items)}


@dataclass
class _Work:
    """The tools of one preparation, and how far it is."""

    vae: Vae
    text: TextEncoder
    store: TensorStore
    progress: Progress
    background: str
    total: int
    done: int = field(default=0)

    def advance(self, picture: Image.Image | None = None) -> None:
        self.done += 1
        self.progress.update(self.done, self.total, picture=picture)


def prepare(
    dataset: Dataset,
    *,
    buckets: BucketSettings | Sequence[BucketSettings],
    vae: Vae,
    text: TextEncoder,
    store: TensorStore,
    progress: Progress,
    mirror: bool = False,
) -> TrainingSet:
    """Encode every picture and caption that is to be trained on, or read them from the store.

    Regularisation pictures are among them as far as :mod:`.balance` uses them; held-out ones are
    left out. All pictures are encoded before all captions, so that VAE and text encoder need not
    share the memory.

    Args:
        dataset: the pictures with their captions and masks.
        buckets: the sizes they are brought to; of several resolutions, to each of them that
            makes another size.
        vae: encodes pictures.
        text: encodes captions.
        store: where what was encoded is kept.
        progress: told after every picture and caption; its interrupt is passed on.
        mirror: encode every picture mirrored left to right as well. A VAE is not symmetric, so
            mirroring the latent would not do.

    Raises:
        DatasetError: files could not be read when the dataset was made; captions are missing; or
            a picture or mask is damaged, too small, or has changed since it was scanned.
        HostError: the VAE or the text encoder returned something that is not a number.
    """
    require_no_faults(dataset)
    times = balanced_repeats(dataset.items)
    items = shown_items(dataset.items, times)
    _require_captions(dataset.name, items)
    resolutions = [buckets] if isinstance(buckets, BucketSettings) else list(buckets)
    views = _views(items, resolutions, vae, progress, mirror)
    captions = [seen[0].item.caption or "" for seen in views]
    texts = list(dict.fromkeys([*captions, ""]))
    total = len(texts) + sum(len(seen) for seen in views)
    work = _Work(vae, text, store, progress, dataset.background, total)
    tensors = [_encode(seen, work) for seen in views]
    embeddings = {caption: _embedding(caption, work) for caption in texts}
    ready = tuple(
        _training_item(seen, encoded, caption, embeddings[caption])
        for seen, encoded, caption in zip(views, tensors, captions, strict=True)
    )
    rows = [_row(seen, caption, work) for seen, caption in zip(views, captions, strict=True)]
    placed = _placement_notes([seen[0] for seen in views])
    notes = (*dataset.notes, *role_notes(dataset.items, times), *placed)
    return TrainingSet(ready, embeddings[""], digest(rows), notes, dataset.fingerprint)


def _require_captions(dataset_name: str, items: list[DatasetItem]) -> None:
    if not any(item.role == TRAIN for item in items):
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


def _views(
    items: list[DatasetItem],
    resolutions: list[BucketSettings],
    vae: Vae,
    progress: Progress,
    mirror: bool,
) -> list[list[View]]:
    """Of every picture, and each of its sizes, the view trained on and the mirrored one."""
    for buckets in resolutions:
        _require_whole_cells(buckets, vae)
    views = []
    for item in items:
        progress.check_cancelled()
        sizes = views_of(item, resolutions)
        views += [[view, view.mirrored()] if mirror else [view] for view in sizes]
    return views


def _require_whole_cells(buckets: BucketSettings, vae: Vae) -> None:
    if buckets.step % vae.downscale:
        raise ConfigError(
            f"step_px is {buckets.step} and the VAE makes one latent cell of {vae.downscale} "
            "pixels",
            expected="a multiple of the VAE's cell",
            remedy=f"Set step_px to a multiple of {vae.downscale}",
        )


Encoded = tuple[torch.Tensor, torch.Tensor | None]
"""A latent (C, h, w) and its mask (1, h, w)."""


def _encode(views: list[View], work: _Work) -> list[Encoded]:
    """Every view of one picture, which is decoded at most once."""
    picture = Picture(views[0].item.source, work.background)
    return [(_latent(view, picture, work), _mask(view, work)) for view in views]


def _latent(view: View, picture: Picture, work: _Work) -> torch.Tensor:
    """(C, h, w) float32, from the store or from the VAE."""
    work.progress.check_cancelled()
    shown: list[Image.Image] = []

    def make() -> dict[str, torch.Tensor]:
        shown.append(view.transform(picture.image))
        return {"latent": view.encode(shown[0], work.vae)}

    stored = work.store.get_or_make(view.key(work.background, work.vae), make)
    work.advance(shown[0] if shown else None)
    return owned(stored["latent"])


def _mask(view: View, work: _Work) -> torch.Tensor | None:
    """(1, h, w) float32, from the store or from the mask; None without one."""
    cell = work.vae.downscale
    key = view.mask_key(cell)
    if key is None:
        return None
    return owned(work.store.get_or_make(key, lambda: {"mask": view.encode_mask(cell)})["mask"])


def _training_item(
    views: list[View], encoded: list[Encoded], caption: str, embedding: TextEmbedding
) -> TrainingItem:
    item = views[0].item
    made = [
        TrainingItem(
            item.name, latent, view.geometry, embedding, caption, item.weight, mask,
            repeats=item.repeats, regularisation=item.role == REGULARISATION,
        )
        for view, (latent, mask) in zip(views, encoded, strict=True)
    ]
    return dataclasses.replace(made[0], mirrored=made[1]) if len(made) > 1 else made[0]


def _row(views: list[View], caption: str, work: _Work) -> list[Any]:
    """What decided one training item, as a JSON value."""
    keys = [view.key(work.background, work.vae) for view in views]
    mask = views[0].mask_key(work.vae.downscale)
    item = views[0].item
    # Without mask, mirroring, repeats and roles as it ever was: finished runs are found again.
    row = [keys[0], _text_key(caption, work.text), item.weight]
    shown = {"repeats": item.repeats} if item.repeats != 1 else {}
    role = {"role": item.role} if item.role != TRAIN else {}
    return row + ([mask] if mask else []) + keys[1:] + ([shown | role] if shown or role else [])


def _text_key(caption: str, text: TextEncoder) -> dict[str, Any]:
    return {"kind": "text", "caption": caption, "text": text.identity}


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


def _placement_notes(views: list[View]) -> list[str]:
    lost = [
        f"{view.item.name} ({view.placement.area_lost_fraction:.0%})"
        for view in views
        if view.placement.area_lost_fraction > _MUCH_LOST
    ]
    return [f"More than a tenth is cut off from {shorten(lost)}."] if lost else []
