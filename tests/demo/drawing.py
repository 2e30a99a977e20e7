"""Pictures of the demo model through stock nodes, and drawn pictures to train on."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import torch


def sample(
    model: Any, clip: Any, vae: Any, prompts: tuple[str, ...], scheduler: str = "karras",
    sampler: str = "dpmpp_2m",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures by the stock sampler, (N, H, W, 3), and their latents."""
    import comfy.sample

    negative = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    empty = torch.zeros(1, 4, 16, 16)
    latents = []
    for seed, prompt in enumerate(prompts):
        positive = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
        noise = comfy.sample.prepare_noise(empty, seed)
        latents.append(
            comfy.sample.sample(
                model, noise, 16, 4.0, sampler, scheduler, positive, negative, empty,
                disable_pbar=True, seed=seed,
            )
        )
    stacked = torch.cat(latents)
    return vae.decode(stacked).clamp(0, 1), stacked


def with_file(model: Any, lora: Any) -> Any:
    """A MODEL with a published LoRA, by the stock loader."""
    import comfy.sd
    import comfy.utils

    tensors = comfy.utils.load_torch_file(str(lora.path), safe_load=True)
    patched, _ = comfy.sd.load_lora_for_models(model, None, tensors, 1.0, 0.0)
    return patched


def drawn_dataset(count: int) -> Any:
    """Pictures as those that the demo model was trained on, with their captions."""
    from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray
    from lora_kiln.demo.draw import draw_any

    random, items = Random(3), []
    for index in range(count):
        picture, caption = draw_any(128, 128, random)
        pixels = np.asarray(picture.convert("RGB"))
        items.append(DatasetItem(str(index), PictureArray(str(index), pixels), caption))
    return Dataset(tuple(items), "drawn")
