"""What the stock nodes draw for a preview's request, and what the previews of a run were.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import pytest
import torch

from lora_kiln.core.protocols import SampleRequest
from lora_kiln.host.preview import ComfySampler
from lora_kiln.host.vae import ComfyVae
from lora_kiln.tests.host.stock_run import stock_nodes


@dataclass
class Drawn:
    """Previews in the order in which they were drawn."""

    requests: list[SampleRequest] = field(default_factory=list)
    latents: list[torch.Tensor] = field(default_factory=list)


@contextmanager
def watched_previews(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawn]:
    """Notes what every preview was asked for, and its latent before decoding."""
    drawn = Drawn()
    one, decode = ComfySampler._draw_one, ComfyVae.decode_raw

    def draw_one(self: Any, request: SampleRequest) -> Any:
        drawn.requests.append(request)
        return one(self, request)

    def decode_raw(self: Any, latents: torch.Tensor) -> torch.Tensor:
        drawn.latents.append(latents.clone())
        return decode(self, latents)

    with monkeypatch.context() as patched:
        patched.setattr(ComfySampler, "_draw_one", draw_one)
        patched.setattr(ComfyVae, "decode_raw", decode_raw)
        yield drawn


def stock_latent(model: Any, clip: Any, request: SampleRequest) -> torch.Tensor:
    """Two CLIP Text Encode, Empty Latent Image and KSampler."""
    nodes = stock_nodes()
    with torch.inference_mode():
        (positive,) = nodes.CLIPTextEncode().encode(clip, request.prompt)
        (negative,) = nodes.CLIPTextEncode().encode(clip, request.negative)
        (empty,) = nodes.EmptyLatentImage().generate(request.width_px, request.height_px, 1)
        (latent,) = nodes.KSampler().sample(
            model, request.seed, request.steps, request.cfg, request.sampler, request.scheduler,
            positive, negative, empty,
        )
    found: torch.Tensor = latent["samples"]
    return found.clone()


def with_lora(model: Any, path: Path, strength: float = 1.0) -> Any:
    """The MODEL with a file, as the stock loader applies it."""
    with torch.inference_mode():
        tensors = comfy.utils.load_torch_file(str(path), safe_load=True)
        patched, _ = comfy.sd.load_lora_for_models(model, None, tensors, strength, 0.0)
    return patched
