"""ComfyUI's own text encoders that can also look and write: Qwen3-VL, Gemma 3 and 4, Qwen3.5.

No further library and no further file: the stock CLIP loader reads them from text_encoders, and
ComfyUI moves and offloads them as it does all its models.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...core.errors import HostError
from ...dataset.describe.describer import Ask, Describer, Reply, with_choice
from ..capabilities import comfyui_version
from ..identity import clip_identity
from .backend import Given

CONNECTED = "connected CLIP"
_TOP_K = 64
"""ComfyUI's own default where words are drawn."""


class ClipDescriber:
    """Fulfils ``Describer`` for a CLIP.

    Args:
        clip: from the stock loader.
        given: whose progress is asked before each picture whether Cancel was pressed.
    """

    def __init__(self, clip: Any, given: Given) -> None:
        self._clip, self._progress = clip, given.progress
        identity = clip_identity(clip)
        self.name = f"the connected CLIP ({type(clip.cond_stage_model).__name__.rstrip('_')})"
        self.identity, self.reusable = identity.digest, identity.reusable

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """As it is: ComfyUI puts the model's own template around it."""
        return with_choice(prompt, answers)

    def describe(self, image: Image.Image, ask: Ask) -> Reply:
        """Answer about a picture."""
        self._progress.check_cancelled()
        pixels = torch.from_numpy(np.array(image)).float()[None] / 255
        tokens = self._tokens(ask.text, pixels)
        options = {
            "do_sample": ask.temperature > 0,
            "max_length": ask.max_tokens,
            "temperature": ask.temperature or 1.0,
            "top_k": _TOP_K,
            "top_p": ask.top_p,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": ask.seed,
        }
        known = inspect.signature(self._clip.generate).parameters
        with torch.no_grad():
            try:
                ids = self._clip.generate(
                    tokens, **{name: value for name, value in options.items() if name in known}
                )
            except (AttributeError, NotImplementedError) as error:
                # A text encoder that only encodes: ``generate`` is on every CLIP all the same.
                raise _silent() from error
        return Reply(self._clip.decode(ids), finished=len(ids) < ask.max_tokens)

    def _tokens(self, text: str, pixels: torch.Tensor) -> Any:
        """Tokens with the picture among them.

        Raises:
            HostError: the picture was left out, as text encoders without eyes do in silence.
        """
        try:
            tokens = self._clip.tokenize(
                text, image=pixels, skip_template=False, min_length=1, thinking=False
            )
        except TypeError as error:
            raise _blind(self.name) from error
        if not _has_picture(tokens):
            raise _blind(self.name)
        return tokens


def _has_picture(tokens: Any) -> bool:
    """Whether a picture stands among tokens: as a mapping in place of a number."""
    if isinstance(tokens, Mapping):
        return tokens.get("type") == "image" or any(map(_has_picture, tokens.values()))
    return isinstance(tokens, (list, tuple)) and any(map(_has_picture, tokens))


class _ConnectedClip:
    """See the module."""

    name, rank = "ComfyUI", 0

    def model_names(self, roots: list[Path]) -> list[str]:
        """One name: which model it is, the link says."""
        del roots
        return [CONNECTED]

    def owns(self, name: str) -> bool:
        """Only that one."""
        return name == CONNECTED

    def check(self, name: str, roots: list[Path]) -> None:
        """What is connected is not known before the graph runs."""
        del name, roots

    def files(self, name: str, roots: list[Path]) -> list[Path]:
        """None of its own: the loader's node watches them."""
        del name, roots
        return []

    @contextmanager
    def open(self, name: str, given: Given) -> Iterator[Describer]:
        """The connected CLIP; ComfyUI keeps or frees it as its other models."""
        del name
        if given.clip is None:
            raise HostError(
                f"The model is '{CONNECTED}', and nothing is connected to clip",
                expected="a text encoder that can look at pictures, such as Qwen3-VL 4B "
                "(Comfy-Org/Qwen3-VL on the Hugging Face hub) in models/text_encoders",
                remedy="Connect the stock node Load CLIP, or choose a model from models/LLM",
            )
        if not (hasattr(given.clip, "generate") and hasattr(given.clip, "decode")):
            raise _silent()
        yield ClipDescriber(given.clip, given)


def _silent() -> HostError:
    return HostError(
        f"ComfyUI {comfyui_version()} cannot write text with the connected CLIP",
        expected="a ComfyUI with the node Generate Text, and a text encoder that writes",
        remedy="Connect a model such as Qwen3-VL, update ComfyUI, or choose a model from "
        "models/LLM",
    )


def _blind(name: str) -> HostError:
    return HostError(
        f"{name} takes no picture in this ComfyUI ({comfyui_version()}): it would describe "
        "something that it has not seen",
        expected="a text encoder with eyes, such as Qwen3-VL 4B or 8B",
        remedy="Connect one (Comfy-Org/Qwen3-VL on the Hugging Face hub), or update ComfyUI",
    )


CAPTIONER = _ConnectedClip()
