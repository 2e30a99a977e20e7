"""Loss and adapter gradients through ComfyUI's UNet equal a plain script on diffusers' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from lora_kiln.core.protocols import ImageGeometry, TextEmbedding

KINDS = [("eps", False), ("v", False), ("v", True)]
IDS = ["eps", "v", "v with zero terminal SNR"]
TIMESTEPS = torch.tensor([999, 731, 250, 4])
TOKENS = (77, 77, 154, 77)
LIMIT = 1e-4


def make_model(config: dict[str, Any], prediction: str, zero_terminal: bool) -> Any:
    """A MODEL as the stock node ModelSamplingDiscrete leaves it."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    from lora_kiln.tests.host import tiny_sdxl

    model = tiny_sdxl.make_model(config)
    kind = {"eps": "eps", "v": "v_prediction"}[prediction]
    return ModelSamplingDiscrete().patch(model, kind, zero_terminal)[0]


def make_items(config: dict[str, Any]) -> list[Any]:
    """Four pictures; one has a caption of two chunks, every one another geometry."""
    from lora_kiln.host.demo_model import TIME_IDS_WIDTH
    from lora_kiln.tests.host import twin

    pooled = config["adm_in_channels"] - TIME_IDS_WIDTH
    embeddings = [
        TextEmbedding(
            twin.random_like((1, length, config["context_dim"]), seed=20 + index),
            twin.random_like((1, pooled), seed=30 + index), {},
        )
        for index, length in enumerate(TOKENS)
    ]
    geometries = [
        ImageGeometry(
            original_width_px=1200 + 7 * index, original_height_px=801 + index,
            crop_left_px=16 * index, crop_top_px=3 + index, target_width_px=1216,
            target_height_px=832,
        )
        for index in range(len(TOKENS))
    ]
    latents = twin.random_like((len(TOKENS), 4, 8, 8), seed=40)
    return twin.make_items(latents, embeddings, geometries)


Script = Callable[[Any, Any, torch.Tensor, int], torch.Tensor]
"""(network, item, noise (1, C, H, W), its place in the batch) -> loss."""


def told(item: Any) -> dict[str, torch.Tensor]:
    """Pooled text and sizes as diffusers' network takes them."""
    from lora_kiln.tests.host import unet_pair

    return {"text_embeds": item.embedding.pooled, "time_ids": unet_pair.time_ids(item)}


def ddpm_script(schedule: Any) -> Script:
    """As diffusers' train_text_to_image_lora_sdxl.py has it."""

    def loss(network: Any, item: Any, noise: torch.Tensor, place: int) -> torch.Tensor:
        latent, timestep = item.latent[None], TIMESTEPS[place : place + 1]
        noisy = schedule.add_noise(latent, noise, timestep)
        output = network(noisy, timestep, item.embedding.tokens, added_cond_kwargs=told(item))
        target = noise
        if schedule.config.prediction_type == "v_prediction":
            target = schedule.get_velocity(latent, noise, timestep)
        return functional.mse_loss(output.sample.float(), target.float())

    return loss


def edm_script(schedule: Any, sigmas: torch.Tensor) -> Script:
    """As train_dreambooth_lora_sdxl_advanced.py has it for EDM: the denoised picture's error."""

    def loss(network: Any, item: Any, noise: torch.Tensor, place: int) -> torch.Tensor:
        sigma = sigmas[place : place + 1].float()
        noisy = item.latent[None] + noise * sigma
        timestep = schedule.precondition_noise(sigma)
        output = network(
            schedule.precondition_inputs(noisy, sigma), timestep, item.embedding.tokens,
            added_cond_kwargs=told(item),
        ).sample
        denoised = schedule.precondition_outputs(noisy, output, sigma)
        weight = (sigma**2 + 0.5**2) / (sigma * 0.5) ** 2
        return (weight * (denoised - item.latent[None]) ** 2).mean()

    return loss


def compare(
    config: dict[str, Any], model: Any, times: torch.Tensor, script: Script
) -> tuple[float, float, torch.Tensor]:
    """Relative error of the losses, the largest of any gradient; timesteps the host was told."""
    from lora_kiln.tests.host import twin, unet_pair

    items = make_items(config)
    noise = twin.random_like((len(items), 4, 8, 8), seed=50)
    ours = twin.train_once(model, items, noise, times, targets="conv")

    names = unet_pair.foreign_names(model)
    network = unet_pair.make_twin(model, config)
    paths = {name.rpartition(".")[0] for name in ours.factors}
    factors = twin.peft_factors(network, sorted(names[path] for path in paths))
    renamed = {}
    for name in ours.factors:
        path, _, part = name.rpartition(".")
        renamed[name] = factors[f"{names[path]}.{part}"]
    with torch.no_grad():
        for name, value in ours.factors.items():
            renamed[name].copy_(value)
    losses = torch.stack([
        script(network, item, noise[place : place + 1], place) for place, item in enumerate(items)
    ])
    losses.mean().backward()
    wanted = {name: factor.grad for name, factor in renamed.items() if factor.grad is not None}
    return (
        float((ours.losses / losses.detach() - 1).abs().max()),
        twin.largest_error(ours.gradients, wanted),
        ours.network_inputs[1],
    )


def compare_ddpm(
    config: dict[str, Any], kind: tuple[str, bool], *, held: bool = True
) -> tuple[float, float]:
    """The same for models with 1000 timesteps."""
    from lora_kiln.tests.host import unet_pair

    times = (TIMESTEPS.double() + 0.5) / 1000
    script = ddpm_script(unet_pair.make_schedule(*kind, held=held))
    loss, gradients, timesteps = compare(config, make_model(config, *kind), times, script)
    assert torch.equal(timesteps.long(), TIMESTEPS)
    return loss, gradients


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize("size", ["TINY", "FULL_WIDTH"])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_loss_and_gradients(kind: tuple[str, bool], size: str) -> None:
    """Of every linear and convolution, with pooled text, sizes, and captions of two lengths."""
    from lora_kiln.tests.host import unet_pair

    loss, gradients = compare_ddpm(getattr(unet_pair, size), kind)
    assert loss <= LIMIT
    assert gradients <= LIMIT


@pytest.mark.usefixtures("comfy")
def test_an_exact_zero_at_the_last_timestep() -> None:
    """Hosts hold it at sigma 4519; diffusers trains at infinity, which is as good as the same."""
    from lora_kiln.tests.host import unet_pair

    errors = compare_ddpm(unet_pair.TINY, ("v", True), held=False)
    assert max(errors) <= 1e-3


@pytest.mark.usefixtures("comfy")
def test_edm() -> None:
    """A model as Playground v2.5, by setting; weighted as the paper weights it."""
    from diffusers import EDMEulerScheduler

    from lora_kiln.host.sampling_law import law_of, with_chosen_sampling
    from lora_kiln.tests.host import tiny_sdxl, unet_pair
    from lora_kiln.trainer.objective_settings import ObjectiveSettings

    model = with_chosen_sampling(
        tiny_sdxl.make_model(unet_pair.TINY), ObjectiveSettings(prediction="edm")
    )
    times = torch.tensor([0.97, 0.7, 0.45, 0.2], dtype=torch.float64)
    sigmas = law_of(model.get_model_object("model_sampling")).sigma(times)
    schedule: Any = EDMEulerScheduler(sigma_data=0.5)
    loss, gradients, _ = compare(unet_pair.TINY, model, times, edm_script(schedule, sigmas))
    assert loss <= LIMIT
    assert gradients <= LIMIT


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_every_timestep_is_diffusers_own(comfy: Path, kind: tuple[str, bool]) -> None:
    """All 1000: time -> sigma -> the host's timestep, and the sigma itself."""
    from lora_kiln.host.sampling_law import law_of, with_chosen_sampling
    from lora_kiln.tests.host import tiny_sdxl, unet_pair
    from lora_kiln.trainer.objective_settings import ObjectiveSettings

    by_node = make_model(unet_pair.TINY, *kind)
    by_setting = with_chosen_sampling(
        tiny_sdxl.make_model(),
        ObjectiveSettings(prediction=kind[0], zero_terminal_snr="on" if kind[1] else "off"),
    )
    abar = unet_pair.make_schedule(*kind).alphas_cumprod.double()
    every = torch.arange(1000)
    for model in (by_node, by_setting):
        sampling = model.get_model_object("model_sampling")
        law = law_of(sampling)
        assert (law.prediction, law.zero_terminal) == kind
        for part in (0.0, 0.5, 0.999):
            sigma = law.sigma((every.double() + part) / 1000 + 1e-12)
            assert torch.equal(sampling.timestep(sigma.float()), every)
            assert torch.equal((law.time(sigma) * 1000).long(), every)
        torch.testing.assert_close(sigma, ((1 - abar) / abar).sqrt(), rtol=2e-4, atol=0)
