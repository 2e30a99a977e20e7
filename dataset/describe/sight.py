"""Does the model look at the picture at all?

Models and programs exist that take a picture and silently leave it out; their descriptions are
fluent and invented. Before many pictures are described, one is shown with two that have nothing
in common with it: the same words for all three are no description.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from ...core.errors import HostError
from .describer import Ask, Describer
from .settings import DEFAULT_PROMPT

_PROBE_TOKENS = 32


def require_sight(describer: Describer, image: Image.Image) -> None:
    """Ask about a picture and about others.

    Raises:
        HostError: the answers are the same.
    """
    text = describer.worded(DEFAULT_PROMPT, ())
    ask = Ask(text=text, seed=0, max_tokens=_PROBE_TOKENS, temperature=0.0, top_p=1.0)
    own = describer.describe(image, ask).text.strip()
    for other in _others(image):
        if describer.describe(other, ask).text.strip() != own:
            return
    raise HostError(
        f"{describer.name} says the same about pictures that have nothing in common: {own[:80]!r}",
        expected="a model that looks at the picture",
        remedy="Its file may have no vision part, or this version of the software leaves the "
        "picture out: choose another model, or update",
    )


def _others(image: Image.Image) -> Iterator[Image.Image]:
    yield ImageOps.invert(image).transpose(Image.Transpose.ROTATE_90)
    # Large squares of strong colours, the same ones each time.
    colours = np.random.default_rng(7).integers(0, 2, (4, 4, 3), dtype=np.uint8) * 255
    yield Image.fromarray(colours).resize((256, 256), Image.Resampling.NEAREST)
