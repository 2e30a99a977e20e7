"""How much of a subject is left in a picture: 1 as without the LoRA, 0 an unrelated picture.

A picture is compared with the one of the same prompt and seed at strength 0 by the cosine of two
embeddings. The raw cosine of unrelated pictures is far above 0, so it is measured, too, and taken
for 0: against scrambled copies of the picture itself, which have its colours and nothing in place,
and against pictures of other prompts (and, where the embedding sees places, of other seeds).

A vision model (CLIP, SigLIP, DINO) knows what a subject is and is the better embedding. Without one
there is ``structure_embedding``, which only knows where edges and patches of light are:
a LoRA that moves the subject elsewhere looks broken to it, and a style that redraws every contour
costs score. It says well where a picture turns into something else *at once*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .curve import Array

Embed = Callable[[Image.Image], Array]
"""A picture -> a vector of any length."""

Base = tuple[str, float, int]
"""Which picture at strength 0: its prompt, CFG scale and seed."""

SIDES_PX = (16, 32, 64)
"""The scales on which structure is looked at."""
TILES = 8
"""A picture is scrambled in so many tiles a side."""
SCRAMBLES = 3
_SEED = 20261121
_EPS = 1e-6
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Of linear sRGB (IEC 61966-2-1)."""


@dataclass
class SubjectScore:
    """Scores pictures against the bases they began as.

    Bases are told first, all of them; only vectors are kept, no picture.

    Attributes:
        embed: a vision model's, or ``structure_embedding``.
        sees_places: whether the same thing elsewhere has another embedding. Then bases of other
            seeds are unrelated, too.
    """

    embed: Embed
    sees_places: bool = False
    _bases: dict[Base, Array] = field(default_factory=dict)
    _scrambled: dict[Base, list[Array]] = field(default_factory=dict)

    def add_base(self, prompt: str, cfg: float, seed: int, picture: Image.Image) -> None:
        """Tell the picture at strength 0."""
        key = (prompt, cfg, seed)
        self._bases[key] = _unit(self.embed(picture))
        self._scrambled[key] = [
            _unit(self.embed(scrambled(picture, number))) for number in range(SCRAMBLES)
        ]

    def has_base(self, prompt: str, cfg: float, seed: int) -> bool:
        """Whether pictures of this prompt, CFG scale and seed can be scored."""
        return (prompt, cfg, seed) in self._bases

    def floor(self, prompt: str, cfg: float, seed: int) -> float:
        """Mean cosine of this base and unrelated pictures."""
        base = self._bases[prompt, cfg, seed]
        others = [*self._scrambled[prompt, cfg, seed]]
        for (other_prompt, other_cfg, other_seed), vector in self._bases.items():
            elsewhere = other_prompt != prompt or (self.sees_places and other_seed != seed)
            if other_cfg == cfg and elsewhere:
                others.append(vector)
        return float(np.mean([base @ vector for vector in others]))

    def score(self, prompt: str, cfg: float, seed: int, picture: Image.Image) -> float:
        """How much of the subject is left, from 1 to 0: no more like its base than unrelated ones.

        Raises:
            KeyError: its base was not told.
        """
        floor = min(self.floor(prompt, cfg, seed), 1 - _EPS)
        cosine = float(self._bases[prompt, cfg, seed] @ _unit(self.embed(picture)))
        return float(np.clip((cosine - floor) / (1 - floor), 0.0, 1.0))


def subject_score(embed: Embed | None) -> SubjectScore:
    """With a vision model's embedding, or by structure alone."""
    if embed is None:
        return SubjectScore(structure_embedding, sees_places=True)
    return SubjectScore(embed)


def structure_embedding(picture: Image.Image) -> Array:
    """Where light and edges are, on three scales; colours and tones do not count.

    Each part is centred and of length 1, so the cosine of two embeddings is a mean of correlations,
    as the structure term of SSIM (Wang et al. 2004) is one: of lightness relative to its
    surroundings, and of the direction of edges (with doubled angles: a line is the same whether
    light or dark is on its left).
    """
    parts: list[Array] = []
    for side in SIDES_PX:
        lightness = _lightness(picture, side)
        around = _blurred(lightness, 4)
        spread = np.sqrt(_blurred((lightness - around) ** 2, 4))
        parts.append((lightness - around) / (spread + 0.03))
        parts.append(_edge_directions(lightness))
    return np.concatenate([_centred(part) for part in parts]) / np.sqrt(len(parts))


def scrambled(picture: Image.Image, number: int) -> Image.Image:
    """The same tiles in another order: the colours stay, the subject does not."""
    side = max(TILES, min(256, *picture.size)) // TILES * TILES
    pixels = np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.BOX))
    tile = side // TILES
    tiles = pixels.reshape(TILES, tile, TILES, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
    order = np.random.default_rng(_SEED + number).permutation(len(tiles))
    mixed = tiles[order].reshape(TILES, TILES, tile, tile, 3).swapaxes(1, 2)
    return Image.fromarray(mixed.reshape(side, side, 3))


def _lightness(picture: Image.Image, side: int) -> Array:
    """(side, side) perceived lightness in 0..1: that of Oklab for greys (Ottosson 2020)."""
    small = picture.convert("RGB").resize((side, side), Image.Resampling.BOX)
    rgb = np.asarray(small, dtype=np.float64) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _LUMINANCE)


def _edge_directions(lightness: Array) -> Array:
    """(h, w, 2): gradients with doubled angle, as long as they are strong, spread a little."""
    down, right = np.gradient(lightness)
    strength = np.hypot(down, right)
    scale = np.sqrt(strength) / (strength + _EPS) ** 2
    doubled = np.stack([(right**2 - down**2) * scale, 2 * right * down * scale], axis=-1)
    return np.stack([_blurred(doubled[..., n], 1) for n in range(2)], axis=-1)


def _blurred(values: Array, radius: int) -> Array:
    """Box mean with reflected borders; (h, w) -> (h, w)."""
    size = 2 * radius + 1
    padded = np.pad(values, radius, mode="reflect")
    for axis in (0, 1):
        summed = np.cumsum(np.insert(padded, 0, 0, axis=axis), axis=axis)
        length = summed.shape[axis]
        ahead = np.take(summed, range(size, length), axis=axis)
        padded = (ahead - np.take(summed, range(length - size), axis=axis)) / size
    return padded


def _centred(values: Array) -> Array:
    flat = values.reshape(-1, values.shape[-1]) if values.ndim == 3 else values.reshape(-1, 1)
    return _unit((flat - flat.mean(axis=0)).ravel())


def _unit(vector: Array) -> Array:
    vector = np.asarray(vector, dtype=np.float64).ravel()
    return vector / max(float(np.linalg.norm(vector)), _EPS)
