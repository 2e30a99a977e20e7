"""A VAE of ComfyUI together with the MODEL's latent scale."""

from __future__ import annotations

import comfy.model_patcher
import comfy.sd
import torch

from .identity import vae_identity

ENCODER_SEED = 0


class ComfyVae:
    """Fulfils ``core.protocols.Vae``.

    Args:
        vae: encodes and decodes.
        patcher: the MODEL, whose latent format scales.
    """

    def __init__(
        self, vae: comfy.sd.VAE, patcher: comfy.model_patcher.ModelPatcher
    ) -> None:
        self._vae = vae
        self._format = patcher.get_model_object("latent_format")
        self.identity = f"{vae_identity(vae).digest}/{type(self._format).__name__}"
        ratio = vae.spacial_compression_encode()
        self.downscale = int(ratio)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) in 0..1 -> scaled latents (B, C, h, w), fp32 on the CPU.

        Some encoders sample; they do so from a fixed seed, so that equal pictures have equal
        latents.
        """
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(ENCODER_SEED)
            latents = self._vae.encode(pixels)
        scaled = self._format.process_in(latents.detach().cpu().float())
        return scaled.clone()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Scaled latents -> (B, H, W, 3) in 0..1, fp32 on the CPU."""
        return self.decode_raw(self._format.process_out(latents))

    def decode_raw(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents as samplers hand them out, in the VAE's own scale."""
        with torch.no_grad():
            pixels = self._vae.decode(latents)
        # Video VAEs decode to (B, frames, H, W, 3), some to several frames of one latent.
        pixels = pixels[:, 0] if pixels.ndim > 4 else pixels
        return pixels.detach().cpu().float().clamp(0, 1)
