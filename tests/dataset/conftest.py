"""Pictures, and stand-ins for VAE, text encoder and progress bar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lora_kiln.core.protocols import TextEmbedding


class FakeVae:
    """Averages 8 x 8 pixels; counts how often it is asked."""

    downscale = 8

    def __init__(self, identity: str = "vae-1") -> None:
        self.identity = identity
        self.calls = 0
        self.result_factor = 1.0

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        assert pixels.dtype == torch.float32
        assert pixels.min() >= 0
        assert pixels.max() <= 1
        return self.result_factor * torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class FakeText:
    """Puts the letters' codes into the tokens; counts how often it is asked."""

    def __init__(self, identity: str = "text-1") -> None:
        self.identity = identity
        self.calls: list[str] = []

    def encode(self, text: str) -> TextEmbedding:
        self.calls.append(text)
        codes = [float(ord(letter)) for letter in text.ljust(8)[:8]]
        tokens = torch.tensor(codes)[None, :, None].expand(1, 8, 4)
        # The same memory twice: a safetensors file refuses that, so it must have been copied.
        return TextEmbedding(tokens, tokens[:, 0], {"mask": tokens[:, :, 0]})


class FakeProgress:
    """Remembers what it was told; interrupts after some checks."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.updates: list[tuple[int, int]] = []
        self.pictures: list[Image.Image] = []
        self.checks = 0
        self.cancel_after = cancel_after

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        self.updates.append((done, total))
        if picture is not None:
            self.pictures.append(picture)

    def say(self, text: str) -> None: ...

    def check_cancelled(self) -> None:
        self.checks += 1
        if self.cancel_after is not None and self.checks > self.cancel_after:
            raise KeyboardInterrupt

    def is_cancellation(self, error: BaseException) -> bool:
        return isinstance(error, KeyboardInterrupt)


@pytest.fixture
def fakes() -> Any:
    """The classes of the stand-ins."""

    class Fakes:
        Vae, Text, Progress = FakeVae, FakeText, FakeProgress

    return Fakes


@pytest.fixture
def gradient() -> Callable[..., Image.Image]:
    """Makes a picture in which every pixel differs from its neighbours."""

    def make(width: int = 48, height: int = 32, seed: int = 0) -> Image.Image:
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        planes = [x * 255 // width, y * 255 // height, (x + y + 40 * seed) % 256]
        return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))

    return make


@pytest.fixture
def folder(tmp_path: Path, gradient: Callable[..., Image.Image]) -> Path:
    """Three captioned pictures, two of them in a subject's folder."""
    root = tmp_path / "plates"
    for number, relative in enumerate(("a2.png", "woman/a10.png", "woman/a9.png")):
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        gradient(160, 128, seed=number).save(path)
        path.with_suffix(".txt").write_text(f"caption {number}", encoding="utf-8")
    return root
