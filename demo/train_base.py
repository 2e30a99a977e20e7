"""Trains the demo model's UNet; writes ``weights/unet.safetensors``.

    python -m demo.train_base --steps 20000

Run from the repository root after ``train_vae``. SDXL's own objective: noise prediction on the
scaled-linear schedule (beta 0.00085 to 0.012, 1000 timesteps), with real size and crop
conditioning and 10 % empty captions, so that CFG works. Averaged weights are essential: without
them the same budget drew noise.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch

from devtools.comfy_import import import_comfy
from devtools.load_pack import load_pack

from .training import Average, initialise

# Pixel sizes and their share of the pictures.
SIZES = {
    (128, 128): 0.6, (160, 96): 0.1, (96, 160): 0.1, (144, 112): 0.1, (112, 144): 0.1,
}
EMPTY_SHARE = 0.1
EMA_DECAY = 0.9995
LEARNING_RATE = 8e-4  # Of a first run; --rate for one that goes on from trained weights.


@dataclass
class Pool:
    """Encoded pictures of one size."""

    latents: torch.Tensor
    captions: list[str]
    size: tuple[int, int]


@torch.no_grad()
def make_pools(vae: object, scale: float, count: int, seed: int) -> list[Pool]:
    """Draw and encode the training pictures, a mirror image of each included."""
    from lora_kiln.demo.draw import draw_any
    from lora_kiln.demo.vary import vary

    pools, number = [], 0
    for (width, height), share in SIZES.items():
        latents, captions = [], []
        for _ in range(round(count * share)):
            number += 1
            picture, caption = draw_any(width, height, Random(seed + number))
            pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32) / 127.5 - 1)
            latents.append(vae.encode(pixels.permute(2, 0, 1)[None]) * scale)  # type: ignore[attr-defined]
            captions.append(vary(caption, Random(seed - number)))
        pools.append(Pool(torch.cat(latents), captions, (width, height)))
    return pools


@torch.no_grad()
def encode_captions(clip: object, captions: set[str]) -> dict[str, tuple[torch.Tensor, ...]]:
    """Hidden states and pooled vector of every caption, once."""
    table: dict[str, tuple[torch.Tensor, ...]] = {}
    for caption in sorted(captions):
        tokens = clip.tokenize(caption)  # type: ignore[attr-defined]
        hidden, pooled = clip.encode_from_tokens(tokens, return_pooled=True)  # type: ignore[attr-defined]
        table[caption] = (hidden[0].half(), pooled[0].half())
    return table


def time_ids(embedder: torch.nn.Module, size: tuple[int, int]) -> torch.Tensor:
    """SDXL's six numbers for an uncropped picture, embedded; (1536,)."""
    width, height = size
    numbers = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32)
    return embedder(numbers).flatten()


def main() -> None:
    """Train, saving averaged weights every thousand steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--pictures", type=int, default=9000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("demo/weights/unet.safetensors"))
    parser.add_argument("--rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--resume", type=Path, help="start from these weights")
    arguments = parser.parse_args()
    load_pack()
    import_comfy()
    torch.manual_seed(arguments.seed)
    train(arguments)


def train(arguments: argparse.Namespace) -> None:
    """The training loop; see :func:`main` for its arguments."""
    from safetensors.torch import load_file

    from lora_kiln.host import demo_model

    torch.set_grad_enabled(True)
    clip, vae = demo_model._make_clip(), demo_model._make_vae()
    model = demo_model.make_unet_config({}).get_model({}, "")
    net = model.diffusion_model.float().train().requires_grad_(True)
    initialise(net)
    if arguments.resume:
        net.load_state_dict(load_file(arguments.resume))
    average = Average(net, EMA_DECAY)
    print("drawing", flush=True)
    pools = make_pools(vae.first_stage_model, 0.13025, arguments.pictures, 20_000_000)
    texts = encode_captions(clip, {c for pool in pools for c in pool.captions} | {""})
    print(f"{len(texts)} captions, latent std {pools[0].latents.std():.3f}", flush=True)
    ids = {pool.size: time_ids(model.embedder, pool.size) for pool in pools}
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).float()
    optimizer = torch.optim.AdamW(net.parameters(), lr=arguments.rate, weight_decay=1e-3)
    random = Random(arguments.seed)
    shown = 1.0
    for step in range(arguments.steps):
        share = step / arguments.steps
        rate = arguments.rate * min(1.0, (step + 1) / 300) * min(1.0, (1 - share) / 0.4 + 0.01)
        for group in optimizer.param_groups:
            group["lr"] = rate
        pool = random.choices(pools, [len(p.captions) for p in pools])[0]
        loss = batch_loss(net, pool, texts, ids[pool.size], alphas, arguments.batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update(net)
        shown = shown * 0.99 + loss.item() * 0.01
        if step % 200 == 0:
            cpu_s = time.process_time()
            print(f"step {step} loss {shown:.4f} cpu {cpu_s:.0f} s", flush=True)
        if step % 1000 == 999:
            save(average, arguments.out)
    save(average, arguments.out)


def batch_loss(
    net: torch.nn.Module, pool: Pool, texts: dict[str, tuple[torch.Tensor, ...]],
    ids: torch.Tensor, alphas: torch.Tensor, batch: int,
) -> torch.Tensor:
    """Mean squared error of the predicted noise for a random batch of one size."""
    picks = torch.randint(0, len(pool.captions), (batch,))
    latents = pool.latents[picks]
    empty = torch.rand(batch) < EMPTY_SHARE
    captions = ["" if e else pool.captions[i] for i, e in zip(picks.tolist(), empty, strict=True)]
    context = torch.stack([texts[c][0] for c in captions]).float()
    pooled = torch.stack([texts[c][1] for c in captions]).float()
    timesteps = torch.randint(0, 1000, (batch,))
    signal = alphas[timesteps].sqrt()[:, None, None, None]
    noise = torch.randn_like(latents)
    noisy = signal * latents + (1 - signal.square()).sqrt() * noise
    condition = torch.cat([pooled, ids.expand(batch, -1)], dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = net(noisy, timesteps, context=context, y=condition)
    error: torch.Tensor = torch.nn.functional.mse_loss(predicted.float(), noise)
    assert math.isfinite(error.item())
    return error


def save(average: Average, path: Path) -> None:
    """Write the averaged weights in fp16."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(average.half(), path)


if __name__ == "__main__":
    main()
