"""Pictures as vectors by a connected CLIP_VISION: CLIP, SigLIP or DINO from the stock loader.

Each picture is embedded once: vectors are kept on disk under what the vision model and the
picture are made of, so that a sweep with one more column is scored at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.errors import HostError
from ..core.settings import digest
from ..core.store import TensorStore
from .identity import vision_identity

MOST_IN_BATCH = 8
MOST_PIXELS = 8 * 2**20
"""Of a batch: training pictures may have a dozen megapixels each."""
EMBED_VERSION = 1
FAMILIES = {
    "clip_vision_model": "CLIP",
    "siglip_vision_model": "SigLIP",
    "siglip2_vision_model": "SigLIP 2",
    "dinov2": "DINOv2",
    "dinov3": "DINOv3",
}


@dataclass(frozen=True)
class NamedPicture:
    """A picture with the hash of its pixels, 64 hex digits."""

    sha256: str
    image: Image.Image


class VisionModel:
    """Embeds pictures.

    Args:
        clip_vision: a CLIP_VISION, as ``CLIPVisionLoader`` gives it.
        folder: where vectors are kept.
    """

    def __init__(self, clip_vision: Any, folder: Path) -> None:
        self._model = clip_vision
        self._store = TensorStore(folder / "vision")
        identity = vision_identity(clip_vision)
        self._identity = identity.digest
        self.reusable = identity.reusable
        """Whether vectors may be kept for another session."""

    @property
    def name(self) -> str:
        """What people call it, with the width of its vectors."""
        config = self._model.config
        width = config.get("projection_dim", config.get("hidden_size", 0))
        return f"{FAMILIES.get(self._model.model_type, self._model.model_type)}, {width} wide"

    def embed(self, pictures: Iterable[NamedPicture]) -> Iterator[np.ndarray]:
        """Vectors of length 1, in order; at most eight pictures are held at a time.

        Raises:
            HostError: the model gives values that are not finite.
        """
        waiting: list[NamedPicture] = []
        for picture in pictures:
            if waiting and not _fits(waiting, picture):
                yield from self._embed_together(waiting)
                waiting = []
            waiting.append(picture)
        yield from self._embed_together(waiting)

    def _embed_together(self, pictures: list[NamedPicture]) -> Iterator[np.ndarray]:
        missing = [p for p in pictures if not self._path(p).exists()] if self.reusable else pictures
        made = dict(zip([p.sha256 for p in missing], self._run(missing), strict=True))
        for picture in pictures:
            yield self._stored(picture, made)

    def _stored(self, picture: NamedPicture, made: dict[str, torch.Tensor]) -> np.ndarray:
        def make() -> dict[str, torch.Tensor]:
            known = made.get(picture.sha256)
            # A damaged entry was there a moment ago: it is made again, alone.
            return {"vector": self._run([picture])[0] if known is None else known}

        if not self.reusable:
            return make()["vector"].numpy()
        return self._store.get_or_make(self._key(picture), make)["vector"].numpy()

    def _run(self, pictures: list[NamedPicture]) -> torch.Tensor:
        """(N, D) fp32 of length 1 on the CPU."""
        if not pictures:
            return torch.empty(0, 0)
        with torch.no_grad():
            pixels = np.stack([np.asarray(p.image.convert("RGB")) for p in pictures])
            # The model's own preprocessing: shorter side to its size, the middle cut out.
            found = self._model.encode_image(torch.from_numpy(pixels).float() / 255, crop=True)
            vectors = found["image_embeds"].detach().to(device="cpu", dtype=torch.float32)
        if vectors.ndim == 3:
            # SigLIP in ComfyUI has no pooling head: it hands out all patches.
            vectors = vectors.mean(1)
        if not bool(torch.isfinite(vectors).all()):
            raise HostError(
                "The vision model gives values that are not finite",
                expected="a vector for every picture",
                remedy="Check the CLIP Vision file, or score without it",
            )
        return torch.nn.functional.normalize(vectors, dim=-1).clone()

    def _path(self, picture: NamedPicture) -> Path:
        return self._store.path(digest(self._key(picture)))

    def _key(self, picture: NamedPicture) -> dict[str, Any]:
        return {
            "kind": "vision", "model": self._identity, "picture": picture.sha256,
            "version": EMBED_VERSION,
        }


def _fits(batch: list[NamedPicture], picture: NamedPicture) -> bool:
    """Pictures of one size go through together, as far as memory should be spent on it."""
    width, height = picture.image.size
    count = len(batch) + 1
    same = batch[0].image.size == picture.image.size
    return same and count <= MOST_IN_BATCH and count * width * height <= MOST_PIXELS
