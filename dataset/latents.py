"""One picture as training sees it: where it is cut, whether it is mirrored, and its latent."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.errors import DatasetError
from ..core.protocols import ImageGeometry, Vae
from .bucket_settings import BucketSettings
from .buckets import Placement, place
from .colour import hex_colour
from .decode import DECODE_VERSION, decode, decode_bytes, inspect
from .focus import focus_of
from .items import DatasetItem, PictureFile, PictureSource
from .masks import MASK_VERSION, decode_mask, mask_cells, require_mask
from .tensors import owned, require_latent


class Picture:
    """A decoded picture, kept for as long as its views are being encoded; decoded when needed.

    Args:
        source: where its pixels are.
        background: colour behind transparent parts.
    """

    def __init__(self, source: PictureSource, background: str) -> None:
        self._source, self._background = source, background

    @cached_property
    def image(self) -> Image.Image:
        """The whole picture, mode RGB, upright.

        Raises:
            DatasetError: it is damaged, or has changed since it was scanned.
        """
        source = self._source
        if isinstance(source, PictureFile):
            # Only what the hash in the cache key stands for.
            return decode_bytes(source.read_unchanged(), source.name, self._background).image
        return decode(source, self._background).image


@dataclass(frozen=True)
class View:
    """How a picture is shown to training.

    Attributes:
        item: the picture.
        width_px: of the whole picture, upright.
        height_px: of the whole picture, upright.
        placement: how it is resized and cut; of the mirrored picture where it is mirrored.
        is_mirrored: whether left and right are exchanged first.
    """

    item: DatasetItem
    width_px: int
    height_px: int
    placement: Placement
    is_mirrored: bool = False

    @property
    def geometry(self) -> ImageGeometry:
        """What SDXL is told of it. Mirroring moves the corner of an off-centre cut."""
        return ImageGeometry(
            original_width_px=self.width_px,
            original_height_px=self.height_px,
            crop_left_px=self.placement.crop_left,
            crop_top_px=self.placement.crop_top,
            target_width_px=self.placement.bucket_w,
            target_height_px=self.placement.bucket_h,
        )

    def mirrored(self) -> View:
        """The same cut of the picture mirrored left to right."""
        placement = self.placement.mirrored()
        return dataclasses.replace(self, placement=placement, is_mirrored=not self.is_mirrored)

    def key(self, background: str, vae: Vae) -> dict[str, Any]:
        """Everything that decides the latent, as a JSON value."""
        key = {
            "kind": "latent",
            "picture": self.item.source.sha256,
            "background": hex_colour(background),
            "decode": DECODE_VERSION,
            "placement": dataclasses.asdict(self.placement),
            "vae": vae.identity,
        }
        # Absent otherwise: what was cached before pictures could be mirrored stays valid.
        return key | {"mirrored": True} if self.is_mirrored else key

    def mask_key(self, downscale: int) -> dict[str, Any] | None:
        """Everything that decides the mask's cells; None without a mask."""
        if self.item.mask is None:
            return None
        key = {
            "kind": "mask",
            "mask": self.item.mask.sha256,
            "decode": [DECODE_VERSION, MASK_VERSION],
            "placement": dataclasses.asdict(self.placement),
            "cell": downscale,
        }
        return key | {"mirrored": True} if self.is_mirrored else key

    def transform(self, picture: Image.Image) -> Image.Image:
        """Mirror, resize and cut a picture, or its mask (mode L), to the bucket's size."""
        if self.is_mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # Lanczos overshoots: beside its border a mask would let through what it should not.
        area = picture.mode == "L"
        filter_ = Image.Resampling.BOX if area else Image.Resampling.LANCZOS
        return cut(picture, self.placement, filter_)

    def encode(self, picture: Image.Image, vae: Vae) -> torch.Tensor:
        """The latent (C, h, w) float32 on the CPU of a transformed picture.

        Raises:
            HostError: it has the wrong shape, or values that are not finite.
        """
        pixels = torch.from_numpy(np.array(picture)).to(torch.float32)[None] / 255
        latent = owned(vae.encode(pixels)).to(torch.float32)
        require_latent(latent, self.placement, self.item.name, vae.downscale)
        return latent[0]

    def encode_mask(self, downscale: int) -> torch.Tensor:
        """The mask averaged over the latent's cells, (1, h, w) float32 in 0..1.

        Raises:
            DatasetError: it is damaged, has changed since it was scanned, or all of what it lets
                through is cut off.
        """
        mask = self.item.mask
        assert mask is not None
        cells = mask_cells(self.transform(decode_mask(mask)), downscale)
        if not bool(cells.any()):
            raise DatasetError(
                f"Nothing that the mask {mask.name} lets through is left after cutting "
                f"{self.item.name} to {self.placement.bucket_w} x {self.placement.bucket_h}",
                expected="a white part near the middle of the picture",
                remedy="Cut the picture and its mask yourself to what shall be trained on",
            )
        return cells


def view_of(item: DatasetItem, buckets: BucketSettings) -> View:
    """Look at a picture and choose its bucket.

    Raises:
        DatasetError: it or its mask is damaged, the two differ in size, it is too small, or its
            focus is not a point.
    """
    facts = inspect(item.source)
    if item.mask is not None:
        require_mask(item.mask, item.name, facts)
    placement = place(
        facts.width_px, facts.height_px, buckets, name=item.name, focus=focus_of(item)
    )
    return View(item, facts.width_px, facts.height_px, placement)


def cut(
    picture: Image.Image,
    placement: Placement,
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    """Resize a picture to cover its bucket and cut it at the placement's corner."""
    size = (placement.resized_w, placement.resized_h)
    if picture.size != size:
        picture = picture.resize(size, resampling)
    left, top = placement.crop_left, placement.crop_top
    return picture.crop((left, top, left + placement.bucket_w, top + placement.bucket_h))
