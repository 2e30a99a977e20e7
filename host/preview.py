"""Draws preview pictures with the stock sampler on the model as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.sd
import numpy as np
import torch
from PIL import Image

from ..core.protocols import SampleRequest
from ..dataset.token_layout import STOCK
from .text import encode_prompt
from .vae import ComfyVae


class ComfySampler:
    """Fulfils ``core.protocols.Sampler``.

    Args:
        patcher: the MODEL; whatever is attached to its modules takes part.
        clip: encodes the prompts, as a person's own graph would.
        vae: decodes.
        chunks: where long prompts are cut; as the captions were.
    """

    def __init__(
        self,
        patcher: comfy.model_patcher.ModelPatcher,
        clip: comfy.sd.CLIP,
        vae: ComfyVae,
        chunks: str = STOCK,
    ) -> None:
        self._patcher, self._clip, self._vae, self._chunks = patcher, clip, vae, chunks
        self._encoded: dict[str, Any] = {}

    def draw(self, requests: Sequence[SampleRequest]) -> list[Image.Image]:
        """One picture per request; requests of a run share their encoded prompts."""
        with torch.no_grad():
            return [self._draw_one(request) for request in requests]

    def _draw_one(self, request: SampleRequest) -> Image.Image:
        channels = self._patcher.get_model_object("latent_format").latent_channels
        scale = self._vae.downscale
        empty = torch.zeros(
            1, channels, request.height_px // scale, request.width_px // scale
        )
        latent = comfy.sample.sample(
            self._patcher,
            comfy.sample.prepare_noise(empty, request.seed),
            request.steps,
            request.cfg,
            request.sampler,
            request.scheduler,
            self._encode(request.prompt),
            self._encode(request.negative),
            empty,
            disable_pbar=True,
            seed=request.seed,
        )
        # The sampler hands out VAE-scaled latents; decode_raw takes them as they are.
        return to_picture(self._vae.decode_raw(latent)[0])

    def _encode(self, prompt: str) -> Any:
        if prompt not in self._encoded:
            self._encoded[prompt] = encode_prompt(self._clip, prompt, self._chunks)
        return self._encoded[prompt]


def to_picture(pixels: torch.Tensor) -> Image.Image:
    """(H, W, 3) in 0..1 to a picture."""
    values = (pixels.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(np.asarray(values))
