"""How the rooms speak to a model without knowing ComfyUI.

``host`` fulfils these for ComfyUI's models; tests fulfil them a second time with diffusers
models, so the mathematics is proven through the same attach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image
from torch import nn

Cond = Mapping[str, Any]
"""What the network is conditioned on, one entry per network argument: tensors with a batch
dimension of 1, and plain numbers."""


@dataclass(frozen=True, kw_only=True)
class ImageGeometry:
    """Where a training picture came from: SDXL is told this as its six "time ids".

    All in pixels. ``crop_*`` is the corner of the crop in the picture after it was resized to
    cover the target, as SDXL's paper (arXiv 2307.01952, section 2.2) trains it.
    """

    original_width_px: int
    original_height_px: int
    crop_left_px: int
    crop_top_px: int
    target_width_px: int
    target_height_px: int


@dataclass(frozen=True)
class TextEmbedding:
    """An encoded caption.

    Attributes:
        tokens: (1, T, D) hidden states for cross-attention.
        pooled: (1, P) pooled output, or None where the family has none.
        extras: further tensors that the family's conditioning needs, by name.
    """

    tokens: torch.Tensor
    pooled: torch.Tensor | None
    extras: Mapping[str, torch.Tensor]


class SamplingLaw(Protocol):
    """The noise schedule of the loaded model. Time runs from 0, clean, to 1, pure noise."""

    @property
    def prediction(self) -> str:
        """What the network outputs: ``eps``, ``v``, ``flow`` or ``edm``."""

    @property
    def sigma_data(self) -> float:
        """Standard deviation of the data that the network expects."""

    @property
    def zero_terminal(self) -> bool:
        """Whether time 1 is pure noise, with nothing of the picture left."""

    @property
    def shift(self) -> float | None:
        """How far a flow model's own sampler moves its levels; None for other models."""

    def sigma(self, time: torch.Tensor) -> torch.Tensor:
        """Noise level, dimensionless; (B,) in 0..1 -> (B,) float64 on the CPU."""

    def time(self, sigma: torch.Tensor) -> torch.Tensor:
        """The inverse; (B,) -> (B,) in 0..1, float64 on the CPU."""

    def noisy(
        self, sigma: torch.Tensor, noise: torch.Tensor, latent: torch.Tensor
    ) -> torch.Tensor:
        """Mix noise into a latent; (B,), (B, C, H, W) twice -> (B, C, H, W)."""


@dataclass(frozen=True)
class FetchedWeight:
    """A frozen weight made ready for one use; ``release`` must be called after it."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    release: Callable[[], None]


class WeightSource(Protocol):
    """Fetches frozen weights wherever they are kept: in place, offloaded, fp8, quantised."""

    def fetch(self, module: nn.Module, like: torch.Tensor) -> FetchedWeight:
        """Return the module's weight on the device and in the dtype of ``like``."""


class Denoiser(Protocol):
    """A loaded diffusion model."""

    family: str
    device: torch.device
    compute_dtype: torch.dtype

    @property
    def sampling(self) -> SamplingLaw:
        """The model's noise schedule."""

    @property
    def weights(self) -> WeightSource:
        """Where its frozen weights are fetched from."""

    def modules(self) -> Mapping[str, nn.Module]:
        """Every module of the network by module_path, in the network's own naming."""

    def fits(self, need_bytes: float) -> bool:
        """Whether this much likely fits beside the loaded model."""

    def loaded(self, need_bytes: float) -> AbstractContextManager[None]:
        """Hold the model ready for training steps; everything is put back on exit.

        Args:
            need_bytes: what the largest pass, and the adapter's optimizer, will take.
        """

    def condition(
        self, text: TextEmbedding, geometry: ImageGeometry, latent: torch.Tensor
    ) -> Cond:
        """Conditioning of one picture; ``latent`` (1, C, H, W) only lends its shape."""

    def predict(
        self, noisy: torch.Tensor, sigma: torch.Tensor, conds: Sequence[Cond]
    ) -> torch.Tensor:
        """Return the denoised latents (x0) in float32.

        Shapes: (B, C, H, W), (B,) and B conds -> (B, C, H, W).
        """


class Vae(Protocol):
    """Encodes and decodes pictures."""

    identity: str
    """Hash of everything that decides its output."""
    downscale: int
    """Pixels per latent cell, 8 for SDXL."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) in 0..1 -> (B, C, H/8, W/8), scaled as the network expects."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) in the network's scale -> (B, 8h, 8w, 3) in 0..1."""


class TextEncoder(Protocol):
    """Encodes captions literally: no emphasis, no embedding loads."""

    identity: str

    def encode(self, text: str) -> TextEmbedding:
        """Encode one caption."""


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """One picture to be drawn."""

    prompt: str
    negative: str
    seed: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    width_px: int
    height_px: int


class Sampler(Protocol):
    """Draws pictures with the model as it stands, adapters beside it included."""

    def draw(self, requests: Sequence[SampleRequest]) -> list[Image.Image]:
        """Draw one picture per request."""


class Progress(Protocol):
    """Tells the person how far we are, and hears whether they want to stop."""

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        """Show progress, with a picture where there is one."""

    def say(self, text: str) -> None:
        """Show one line of text."""

    def check_cancelled(self) -> None:
        """Raise the host's own interrupt exception when the person pressed Cancel."""

    def is_cancellation(self, error: BaseException) -> bool:
        """Whether an exception is that interrupt."""


