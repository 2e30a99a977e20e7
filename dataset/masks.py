"""Masks: which parts of a picture are trained on. White is, black is not, grey in proportion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageChops

from ..core.errors import DatasetError
from .channels import split_alpha
from .decode import Finish, load_upright
from .facts import PictureFacts
from .items import PictureAlpha, PictureArray, PictureFile, PictureSource, file_stamp

MASK_VERSION = 1
"""Part of every mask's cache key; raise it when the values that come out of here change."""


@dataclass(frozen=True)
class MaskFacts:
    """Size of a mask after EXIF, and its highest value, 0..255."""

    width_px: int
    height_px: int
    brightest: int


def decode_mask(source: PictureSource) -> Image.Image:
    """Decode a mask as strictly as a picture: mode L, upright by its own EXIF data.

    Its values are numbers and not colours, so colour profiles are left alone. What is transparent
    in a mask file counts as black, whatever colour is hidden there.

    Raises:
        DatasetError: it is damaged, too large, has no clear black and white, or has changed
            since it was first looked at.
    """
    finish: Finish = _grey
    picture = source
    if isinstance(source, PictureAlpha):
        finish, picture = _alpha, source.picture
    if isinstance(picture, PictureArray):
        return finish(Image.fromarray(picture.pixels), picture.name, [])
    if isinstance(picture, PictureFile):
        return load_upright(picture.read_unchanged(), picture.name, [], finish)
    raise TypeError(f"{type(picture).__name__} is not a picture source")


def require_mask(source: PictureSource, picture_name: str, picture: PictureFacts) -> None:
    """Refuse a mask that does not fit its picture, or lets nothing through.

    Args:
        source: the mask.
        picture_name: of the picture it belongs to.
        picture: that picture's size.

    Raises:
        DatasetError: the sizes differ, the mask is black everywhere, or see :func:`decode_mask`.
    """
    mask = inspect_mask(source)
    if mask.brightest == 0:
        raise DatasetError(
            f"The mask {source.name} is black everywhere",
            expected="white where the picture is to be trained on",
            remedy=f"Paint those parts white, or remove the mask to train on all of {picture_name}",
        )
    size, wanted = (mask.width_px, mask.height_px), (picture.width_px, picture.height_px)
    if size != wanted:
        turned = size == wanted[::-1]
        raise DatasetError(
            f"The mask {source.name} is {size[0]} x {size[1]} pixels, and its picture "
            f"{picture_name} is {wanted[0]} x {wanted[1]}",
            expected="a mask as large as its picture",
            remedy="Turn it as the picture is shown; EXIF data may turn one and not the other"
            if turned
            else "Export the mask from the picture as it is now, uncut and unscaled",
        )


def inspect_mask(source: PictureSource) -> MaskFacts:
    """Decode a mask once to be sure that it can be; remembered until the file changes.

    Raises:
        DatasetError: see :func:`decode_mask`.
    """
    file = source.picture if isinstance(source, PictureAlpha) else source
    if isinstance(file, PictureFile):
        return _inspect_file(file, file is not source, *file_stamp(file.path, file.name))
    return _facts(source)


# Size and time are part of the key, so a file that changed is looked at again.
@lru_cache(maxsize=8192)
def _inspect_file(file: PictureFile, is_alpha: bool, size: int, mtime_ns: int) -> MaskFacts:
    return _facts(PictureAlpha(file) if is_alpha else file)


def _facts(source: PictureSource) -> MaskFacts:
    mask = decode_mask(source)
    return MaskFacts(mask.width, mask.height, int(np.asarray(mask).max()))


def mask_cells(mask: Image.Image, downscale: int) -> torch.Tensor:
    """Average a mask over the latent's cells.

    Args:
        mask: mode L, in the bucket's size.
        downscale: pixels per cell and side.

    Returns:
        (1, h, w) float32 in 0..1: the part of every cell that is trained on.
    """
    values = torch.from_numpy(np.array(mask)).to(torch.float32)[None] / 255
    return torch.nn.functional.avg_pool2d(values, downscale)


def _grey(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    base, alpha = split_alpha(image, name, notes)
    grey = base if base.mode == "L" else base.convert("RGB").convert("L")
    return grey if alpha is None else ImageChops.multiply(grey, alpha)


def _alpha(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    _, alpha = split_alpha(image, name, notes)
    return Image.new("L", image.size, 255) if alpha is None else alpha
