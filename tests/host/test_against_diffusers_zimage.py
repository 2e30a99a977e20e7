"""Loss and adapter gradients through ComfyUI's NextDiT equal a plain script on diffusers' own.

Diffusers' network is fed ``1 - sigma`` and answers ``x0 - eps``; its pipeline turns the answer
round. ComfyUI's does both inside.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from lora_kiln.core.protocols import TextEmbedding

SIGMAS = torch.tensor([1.0, 0.83, 0.5, 0.17, 0.01], dtype=torch.float64)
LIMIT = 1e-4
CAPTIONS = {
    "one multiple": (5, 32, 20, 31, 1),
    "several multiples": (5, 40, 20, 33, 64),
}
SHAPES = {"tokens to be filled up": (8, 12), "an even number of tokens": (16, 16)}


def make_items(lengths: tuple[int, ...], size: tuple[int, int]) -> list[Any]:
    from lora_kiln.tests.host import twin, zimage_pair

    embeddings = [
        TextEmbedding(
            twin.random_like((1, length, zimage_pair.CAPTION_WIDTH), seed=20 + index), None, {}
        )
        for index, length in enumerate(lengths)
    ]
    latents = twin.random_like((len(lengths), zimage_pair.CHANNELS, *size), seed=40)
    return twin.make_items(latents, embeddings, [twin.SQUARE] * len(lengths))


def plain_script(
    network: Any, items: list[Any], noise: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """Losses (B,) as diffusers' train_dreambooth_lora_z_image.py has them."""
    latents = torch.stack([item.latent for item in items])
    size = sigma.float().view(-1, 1, 1, 1)
    noisy = (1 - size) * latents + size * noise
    captions = [item.embedding.tokens[0] for item in items]
    answers = network(list(noisy.unsqueeze(2)), 1 - sigma.float(), captions).sample
    predicted = -torch.stack(list(answers)).squeeze(2)
    loss = functional.mse_loss(predicted, noise - latents, reduction="none")
    return loss.flatten(1).mean(1)


def copy_factors(
    model: Any, names: dict[str, torch.nn.Parameter], ours: dict[str, torch.Tensor]
) -> None:
    """Parts of a fused module share its ``down`` and have its rows of ``up``."""
    from lora_kiln.tests.host import zimage_pair

    with torch.no_grad():
        for name, value in ours.items():
            path, _, part = name.rpartition(".")
            for foreign, target in zimage_pair.targets(model, path):
                rows = slice(*target.rows) if target.rows and part == "up" else slice(None)
                names[f"{foreign}.{part}"].copy_(value[rows])


def fused_gradients(
    model: Any, names: dict[str, torch.nn.Parameter], ours: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Gradients by our names: of a shared ``down`` the sum over its copies, of ``up`` stacked."""
    from lora_kiln.tests.host import zimage_pair

    found = {}
    for name in ours:
        path, _, part = name.rpartition(".")
        grads = []
        for foreign, _ in zimage_pair.targets(model, path):
            grad = names[f"{foreign}.{part}"].grad
            assert grad is not None, foreign
            grads.append(grad)
        found[name] = torch.cat(grads) if part == "up" else torch.stack(grads).sum(0)
    return found


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize("size", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("lengths", CAPTIONS.values(), ids=CAPTIONS)
def test_loss_and_gradients(lengths: tuple[int, ...], size: tuple[int, int]) -> None:
    """Of all linear layers, refiners and modulation too; captions of five lengths in one batch."""
    from lora_kiln.tests.host import twin, zimage_pair

    model, items = zimage_pair.make_model(), make_items(lengths, size)
    noise = twin.random_like((len(items), zimage_pair.CHANNELS, *size), seed=50)
    ours = twin.train_once(model, items, noise, SIGMAS, targets="all")
    assert sum(name.endswith("qkv.down") for name in ours.factors) == 4
    # ComfyUI's network is told sigma itself.
    torch.testing.assert_close(
        ours.network_inputs[1].double().sort().values, SIGMAS.sort().values
    )

    network = zimage_pair.make_twin(model)
    paths = sorted({name.rpartition(".")[0] for name in ours.factors})
    names = [name for path in paths for name, _ in zimage_pair.targets(model, path)]
    factors = twin.peft_factors(network, names)
    copy_factors(model, factors, ours.factors)
    losses = plain_script(network, items, noise, SIGMAS)
    losses.mean().backward()
    error = float((ours.losses / losses.detach() - 1).abs().max())
    wanted = fused_gradients(model, factors, ours.factors)
    assert error <= LIMIT
    assert twin.largest_error(ours.gradients, wanted) <= LIMIT
