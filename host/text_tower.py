"""Prompts in the space of a vision model, where the two belong together.

CLIP models come as pairs of a text and a vision tower. SDXL carries the text towers of OpenCLIP
bigG and of OpenAI's ViT-L/14; that the published vision towers share their space after SDXL's
training is likely and unproven. So a pairing is tried on the training captions: pictures must fit
their own captions better than each other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.seeds import permutation
from ..sweep.vectors import unit

FEWEST_CAPTIONS = 4
SHUFFLES = 199
CERTAIN = 0.05
"""Share of shuffled captions that may fit as well as the right ones."""


@dataclass(frozen=True)
class Tower:
    """A text tower that may belong to a vision model.

    Attributes:
        part: its letter in ComfyUI: ``g`` or ``l``.
        title: the pair, for people.
        width: of both projections.
        trusted: whether its projection is always in the file. SDXL checkpoints come without
            that of ViT-L/14, and ComfyUI then leaves it unset.
    """

    part: str
    title: str
    width: int
    trusted: bool


TOWERS = (
    Tower("g", "OpenCLIP bigG", 1280, trusted=True),
    Tower("l", "OpenAI ViT-L/14", 768, trusted=False),
)


def matching_tower(clip: Any, clip_vision: Any) -> Tower | None:
    """The known partner of the vision model among the text encoders, or None."""
    if clip_vision.model_type != "clip_vision_model":
        return None
    width = clip_vision.config.get("projection_dim")
    for tower in TOWERS:
        encoder = getattr(clip.cond_stage_model, f"clip_{tower.part}", None)
        projection = getattr(getattr(encoder, "transformer", None), "text_projection", None)
        if tower.width == width == getattr(projection, "out_features", None):
            return tower
    return None


def embed_texts(clip: Any, tower: Tower, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Vectors of length 1 by text, as the tower's projection gives them."""
    clip.load_model()
    model = clip.cond_stage_model
    encoder = getattr(model, f"clip_{tower.part}")
    model.reset_clip_options()
    model.set_clip_options({"execution_device": clip.patcher.load_device})
    try:
        with torch.no_grad():
            return {text: _embed(clip, tower, encoder, text) for text in dict.fromkeys(texts)}
    finally:
        model.reset_clip_options()


def _embed(clip: Any, tower: Tower, encoder: Any, text: str) -> np.ndarray:
    tokens = clip.tokenize(text)[tower.part]
    pooled = encoder.encode_token_weights(tokens)[1]
    return unit(pooled[0].detach().float().cpu().numpy().copy())


def pairing_note(
    tower: Tower, texts: Mapping[str, np.ndarray], captions: Sequence[str], pictures: np.ndarray
) -> tuple[bool, str]:
    """Whether the pairing may be used, and what to tell.

    Args:
        tower: the text tower.
        texts: vectors of the captions among others.
        captions: one per training picture.
        pictures: (N, D) vectors of the training pictures.
    """
    if not all(bool(np.isfinite(texts[caption]).all()) for caption in captions):
        return False, f"The text tower {tower.title} gives values that are not finite"
    if len(set(captions)) < FEWEST_CAPTIONS:
        note = (
            f"The text tower {tower.title} could not be tried: that takes "
            f"{FEWEST_CAPTIONS} training pictures with different captions"
        )
        return tower.trusted, note + ("; its score is unconfirmed" if tower.trusted else "")
    chance = _chance(np.stack([texts[caption] for caption in captions]), pictures)
    if chance <= CERTAIN:
        return True, (
            f"Prompts are compared by {tower.title}: training pictures fit their own captions "
            f"better than exchanged ones (p = {chance:.3f})"
        )
    return False, (
        f"{tower.title} is not used: training pictures do not fit their own captions better "
        f"than exchanged ones (p = {chance:.2f})"
    )


def _chance(captions: np.ndarray, pictures: np.ndarray) -> float:
    """Share of permutations of the captions that fit at least as well; a permutation test."""
    cosines = (pictures @ captions.T).astype(np.float64)
    count = len(cosines)
    own = float(np.trace(cosines))
    orders = [permutation(count, 0, shuffle, "pairing") for shuffle in range(SHUFFLES)]
    better = sum(
        float(cosines[np.arange(count), order].sum()) >= own - 1e-9 for order in orders
    )
    return (better + 1) / (SHUFFLES + 1)
