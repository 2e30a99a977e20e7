"""Trains the demo model's autoencoder; writes ``weights/vae.safetensors``.

    python -m demo.train_vae --steps 12000

Run from the repository root in the project's environment. Drawn pictures, recoloured at random
and cut into crops, so that the autoencoder knows palettes and textures which the
diffusion model will never see. Averaged weights are kept, and the latents are scaled so that
SDXL's factor 0.13025 brings them to unit variance.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn

from devtools.comfy_import import import_comfy
from devtools.load_pack import load_pack

from .training import Average, initialise

SDXL_LATENT_SCALE = 0.13025
# Many small steps first; then a while on larger pieces, for norms that see whole pictures.
STAGES = ((0.6, 32, 8), (0.9, 64, 6), (1.0, 128, 2))
EMA_DECAY = 0.998
LEARNING_RATE = 2e-3


def drawn_pool(count: int, seed: int) -> torch.Tensor:
    """Drawn 128-pixel pictures, half of them recoloured; (N, 3, 128, 128) in -1..1."""
    from lora_kiln.demo.draw import draw_any

    pictures = []
    for index in range(count):
        random = Random(seed + index)
        pixels = np.asarray(draw_any(128, 128, random)[0], dtype=np.float32) / 127.5 - 1
        pictures.append(recoloured(pixels, random) if index % 2 else pixels)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def recoloured(pixels: np.ndarray, random: Random) -> np.ndarray:
    """Mix the channels at random, and sometimes lay fine lines over the picture."""
    rng = np.random.default_rng(random.getrandbits(32))
    mixed = pixels @ rng.uniform(-0.8, 1.0, (3, 3)).astype(np.float32)
    mixed = mixed + rng.uniform(-0.5, 0.5, 3).astype(np.float32)
    if random.random() < 0.6:
        height, width = pixels.shape[:2]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(5, 12)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        lines = (wave > rng.uniform(0.3, 0.8))[..., None]
        where = (rng.uniform() < 0.5) | (pixels[..., :1] > rng.uniform(-0.6, 0.6))
        mixed = np.where(lines & where, rng.uniform(-1, 1, 3).astype(np.float32), mixed)
    return np.clip(mixed, -1, 1).astype(np.float32)


def crops(
    pool: torch.Tensor, side: int, batch: int, generator: torch.Generator
) -> torch.Tensor:
    """Random square crops with random flips; (B, 3, side, side)."""
    picks = torch.randint(0, len(pool), (batch,), generator=generator)
    corners = torch.randint(0, 128 - side + 1, (batch, 2), generator=generator)
    cut = torch.stack([
        pool[i, :, y : y + side, x : x + side]
        for i, (y, x) in zip(picks.tolist(), corners.tolist(), strict=True)
    ])
    return cut.flip(3) if torch.rand((), generator=generator) < 0.5 else cut


def loss_of(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """L1 + L2 of the reconstruction, and L1 of its edges."""
    mean, _ = model.quant_conv(model.encoder(pixels)).chunk(2, dim=1)
    error = model.decoder(model.post_quant_conv(mean)) - pixels
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges


def main() -> None:
    """Train and save averaged weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--resume", type=Path, help="start from these weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("demo/weights/vae.safetensors"))
    arguments = parser.parse_args()
    load_pack()
    import_comfy()
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from safetensors.torch import load_file, save_file

    from lora_kiln.host.demo_model import VAE_CONFIG

    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    pool = drawn_pool(3000, 10_000_000)
    model = AutoencoderKL(**VAE_CONFIG).train()
    initialise(model)
    if arguments.resume:
        model.load_state_dict(load_file(arguments.resume))
    average = Average(model, EMA_DECAY)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=1e-4, betas=(0.9, 0.99)
    )
    for step in range(arguments.steps):
        share = step / arguments.steps
        rate = LEARNING_RATE * min(1.0, (step + 1) / 100) * min(1.0, (1 - share) / 0.5 + 0.01)
        for group in optimizer.param_groups:
            group["lr"] = rate
        side, batch = next((side, batch) for end, side, batch in STAGES if share < end)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, crops(pool, side, batch, generator))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        if step % 100 == 0:
            cpu_s = time.process_time()
            print(f"step {step} loss {loss.item():.4f} cpu {cpu_s:.0f} s", flush=True)
    model.load_state_dict(average.values)
    rescale_latents(model.eval(), pool[:256])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()},
              arguments.out)


@torch.no_grad()
def rescale_latents(model: Any, pixels: torch.Tensor) -> None:
    """Centre the latents and give them standard deviation 1 / 0.13025, channel by channel."""
    mean = torch.cat([model.quant_conv(model.encoder(p)).chunk(2, 1)[0] for p in pixels.split(16)])
    centre, spread = mean.mean((0, 2, 3)), mean.std((0, 2, 3))
    factor = 1 / (SDXL_LATENT_SCALE * spread)
    quant, post = model.quant_conv, model.post_quant_conv
    # The first half of quant_conv's outputs is the mean, the second half the log variance.
    quant.weight[:4] *= factor[:, None, None, None]
    quant.bias[:4] = (quant.bias[:4] - centre) * factor
    quant.weight[4:] = 0
    quant.bias[4:] = -20.0
    post.bias += (post.weight[:, :, 0, 0] @ centre)
    post.weight /= factor[None, :, None, None]


if __name__ == "__main__":
    main()
