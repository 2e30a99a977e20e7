"""What is demanded of encoded tensors before they are kept."""

from __future__ import annotations

import torch

from ..core.errors import HostError
from .buckets import Placement


def owned(tensor: torch.Tensor) -> torch.Tensor:
    """An own, ordinary copy on the CPU.

    ComfyUI runs nodes in inference mode, whose tensors autograd refuses to save; and two results
    over one memory could not be written to a file.
    """
    with torch.inference_mode(False):
        return tensor.detach().to("cpu").clone().contiguous()


def require_latent(latent: torch.Tensor, placement: Placement, name: str, downscale: int) -> None:
    """Refuse a latent whose cells are not those of the bucket; (1, C, h, w) is right.

    Raises:
        HostError: the shape is wrong, or a value is not finite.
    """
    expected = (placement.bucket_h // downscale, placement.bucket_w // downscale)
    if latent.ndim != 4 or latent.shape[0] != 1 or tuple(latent.shape[2:]) != expected:
        raise HostError(
            f"The VAE made a latent of shape {tuple(latent.shape)} of {name}",
            expected=f"shape (1, C, {expected[0]}, {expected[1]})",
            remedy="Use the VAE that belongs to the model",
        )
    require_finite(latent, name, "VAE")


def require_finite(tensor: torch.Tensor, what: str, which: str) -> None:
    """Refuse before it is cached: one NaN would spoil every run that reads it.

    Args:
        tensor: what came out.
        what: the picture or caption it was made from.
        which: ``VAE`` or ``text encoder``.

    Raises:
        HostError: a value is not finite.
    """
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise HostError(
            f"The {which} returned values that are not numbers for {what}",
            expected="finite values",
            remedy=f"Run the {which} in higher precision (start ComfyUI with --fp32-vae or "
            "--fp32-text-enc), or use a repaired file of it",
        )
