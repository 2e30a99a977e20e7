"""What the rules need to know of a picture's pixels, from one decoding for all of them.

Of each picture about two kilobytes are kept: 50,000 pictures are a hundred megabytes, however
large they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from ...core.protocols import Progress
from ..channels import split_alpha
from ..colour import Rgb, parse_colour
from ..decode import load_upright
from ..facts import NOTE_ALPHA
from ..icc import to_srgb
from ..items import Dataset, DatasetItem, PictureArray, PictureFile, PictureSource
from ..perceptual import perceptual_hash

SMALL_SIDE = 24
"""Cells per side of the small copy: each is four hundredths of the picture's side."""
_ALMOST_GONE, _VISIBLE = 16, 32
_RING_SHARE, _RING_LEVELS = 0.03, 12
_RING_SIDE = 256


@dataclass(frozen=True)
class Hidden:
    """Colours below transparent parts, as they surface in programs that drop transparency.

    Attributes:
        share: part of the picture, 0..1, that would look other than its background.
        colour: the mean of the colours there.
    """

    share: float
    colour: Rgb


@dataclass(frozen=True)
class Border:
    """The outermost three hundredths of a picture.

    Attributes:
        colour: the median.
        share: part of the border, 0..1, that has this colour.
    """

    colour: Rgb
    share: float


@dataclass(frozen=True)
class PictureLook:
    """What was seen in a picture.

    Attributes:
        width_px: after EXIF.
        height_px: likewise.
        notes: what was done to make it upright 8-bit sRGB, as ``dataset.decode`` says it.
        mode: Pillow's word for how the file stores its pixels.
        hidden: None without transparent parts.
        border: its border.
        hash: see :func:`..perceptual.perceptual_hash`.
        small: RGB of 24 x 24 cells, row by row.
    """

    width_px: int
    height_px: int
    notes: tuple[str, ...]
    mode: str
    hidden: Hidden | None
    border: Border
    hash: int
    small: bytes

    @property
    def cells(self) -> np.ndarray:
        """The small copy, (24, 24, 3) uint8."""
        return np.frombuffer(self.small, np.uint8).reshape(SMALL_SIDE, SMALL_SIDE, 3)


def look_at(source: PictureSource, background: str) -> PictureLook:
    """Decode a picture once and see all there is to see.

    Raises:
        DatasetError: it is damaged, or has become so since the folder was read.
    """
    modes: list[str] = []
    notes: list[str] = []
    naive: list[Image.Image] = []

    def finish(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
        modes.append(image.mode)
        profile = image.info.get("icc_profile")
        base, alpha = split_alpha(image, name, notes)
        colours = to_srgb(base, profile, name, notes)
        if alpha is not None and np.asarray(alpha).min() < 255:
            # As other programs drop transparency, and with it what a colour profile means.
            naive.append(base.convert("RGB"))
            colours.putalpha(alpha)
        return colours

    if isinstance(source, PictureArray):
        image = finish(Image.fromarray(source.pixels), source.name, notes)
    elif isinstance(source, PictureFile):
        image = load_upright(source.read_unchanged(), source.name, notes, finish)
    else:
        raise TypeError(f"{type(source).__name__} is not a picture source")
    ground = parse_colour(background)
    hidden = None
    if image.mode == "RGBA":
        hidden = _hidden(naive[0], image.getchannel("A"), ground)
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*ground, 255)), image)
        notes.append(NOTE_ALPHA)
    return _look(image.convert("RGB"), tuple(notes), modes[0], hidden)


def _look(
    image: Image.Image, notes: tuple[str, ...], mode: str, hidden: Hidden | None
) -> PictureLook:
    # Everything below looks at few pixels; large pictures are made smaller once for all.
    factor = min(image.size) // _RING_SIDE
    seen = image.reduce(factor) if factor > 1 else image
    small = seen.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BOX)
    return PictureLook(
        image.width, image.height, notes, mode, hidden, _border(seen), perceptual_hash(seen),
        small.tobytes(),
    )


def _hidden(naive: Image.Image, alpha: Image.Image, ground: Rgb) -> Hidden:
    pixels = np.asarray(naive).astype(np.int16)
    away = np.abs(pixels - np.array(ground, np.int16)).max(-1) > _VISIBLE
    surfacing = away & (np.asarray(alpha) <= _ALMOST_GONE)
    if not surfacing.any():
        return Hidden(0.0, ground)
    red, green, blue = (round(float(value)) for value in pixels[surfacing].mean(0))
    return Hidden(float(surfacing.mean()), (red, green, blue))


def _border(image: Image.Image) -> Border:
    pixels = np.asarray(image)
    deep = max(1, round(min(image.size) * _RING_SHARE))
    ring = np.concatenate([
        part.reshape(-1, 3)
        for part in (pixels[:deep], pixels[-deep:], pixels[deep:-deep, :deep],
                     pixels[deep:-deep, -deep:])
    ]).astype(np.int16)
    colour = np.median(ring, axis=0)
    share = float((np.abs(ring - colour).max(-1) <= _RING_LEVELS).mean())
    red, green, blue = (int(value) for value in colour)
    return Border((red, green, blue), share)


K = TypeVar("K")
MOST_WORKERS = 8
LookAt = Callable[[DatasetItem, str], PictureLook]
"""Looks at the picture of an item, laid on a background colour. A faster one may be put in."""


def picture_look(item: DatasetItem, background: str) -> PictureLook:
    """Look at the picture of an item: the one place where rules have pictures decoded."""
    return look_at(item.source, background)


class PictureLooks:
    """What was seen of each picture so far; each is decoded once, also over several lints.

    Args:
        look: decodes and looks.
    """

    def __init__(self, look: LookAt = picture_look) -> None:
        self._look = look
        self._seen: dict[tuple[str, str], PictureLook] = {}

    def of(self, item: DatasetItem, background: str) -> PictureLook:
        """What is seen in a picture.

        Raises:
            DatasetError: see :func:`look_at`.
        """
        key = (item.source.sha256, background)
        if key not in self._seen:
            self._seen[key] = self._look(item, background)
        return self._seen[key]

    def over(
        self, dataset: Dataset, progress: Progress
    ) -> Iterator[tuple[DatasetItem, PictureLook]]:
        """Every picture with what is seen in it, in order; the first time takes long."""
        unseen = {(item.source.sha256, dataset.background): item for item in dataset.items}
        unseen = {key: item for key, item in unseen.items() if key not in self._seen}
        self._look_at(unseen, progress)
        for item in dataset.items:
            yield item, self.of(item, dataset.background)

    def _look_at(self, unseen: Mapping[tuple[str, str], DatasetItem], progress: Progress) -> None:
        """Several at once: Pillow lets other threads run while it decodes."""
        workers = min(os.cpu_count() or 1, MOST_WORKERS, len(unseen)) or 1
        with ThreadPoolExecutor(workers, thread_name_prefix="kiln-look") as pool:
            done = 0
            # The calls of a batch only: a cancelled lint waits for no more than that.
            for batch in _batches(list(unseen.items()), 4 * workers):
                progress.check_cancelled()
                looks = pool.map(lambda one: self._look(one[1], one[0][1]), batch)
                self._seen |= zip([key for key, _ in batch], looks, strict=True)
                done += len(batch)
                progress.update(done, len(unseen))


def _batches(items: list[K], size: int) -> Iterator[list[K]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
