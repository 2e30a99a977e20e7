"""What the tests of vision models share: pictures, a question, and no way to the network."""

from __future__ import annotations

import importlib
import socket
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_kiln.dataset.describe.describer import Ask
from lora_kiln.dataset.describe.settings import DEFAULT_PROMPT
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray

ASK = Ask(text=DEFAULT_PROMPT, seed=1, max_tokens=6, temperature=0.0, top_p=1.0)


def refuse_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection, and no name looked up, whatever a library would like to ask."""

    def refuse(*values: Any, **options: Any) -> Any:
        raise AssertionError(f"a connection was opened: {values} {options}")

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def noise(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Twelve squares of random colours."""
    chance = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(chance).resize(size, Image.Resampling.NEAREST)


def pictures(count: int = 3) -> Dataset:
    """Some of them as a dataset without captions."""
    items = [
        DatasetItem(f"{n}", PictureArray(f"{n}", np.asarray(noise(n)))) for n in range(count)
    ]
    return Dataset(tuple(items), "noise")


def opened(name: str, host: Any, clip: Any = None) -> AbstractContextManager[Any]:
    """A model, as the node opens it. Call with ComfyUI importable."""
    models = importlib.import_module("lora_kiln.host.caption_models")
    captioners = importlib.import_module("lora_kiln.host.captioners")
    return captioners.opened(name, captioners.Given(models.model_roots("LLM"), clip, host))
