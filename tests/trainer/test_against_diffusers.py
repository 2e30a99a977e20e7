"""Loss and gradients equal those of diffusers and plain PEFT, through our own attach."""

from __future__ import annotations

import copy
import re
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn import functional

from lora_kiln.core.attach import Attachment
from lora_kiln.core.protocols import Denoiser
from lora_kiln.dataset.prepare import TrainingItem
from lora_kiln.trainer.activations import checkpoint_blocks
from lora_kiln.trainer.adapter import LoraAdapter
from lora_kiln.trainer.adapter_settings import AdapterSettings
from lora_kiln.trainer.batches import Sample
from lora_kiln.trainer.draws import draw_noise
from lora_kiln.trainer.frozen import attach_frozen
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.parts import choose_parts
from lora_kiln.trainer.recipe import make_recipe
from lora_kiln.trainer.step import StepRunner
from lora_kiln.trainer.timesteps import even_draws
from lora_kiln.trainer.views import make_views

SEED, STEP, COUNT = 11, 3, 3
RANK, ALPHA = 4, 6
KINDS = [("eps", False), ("v", False), ("v", True)]


def make_items(second: ModuleType) -> list[TrainingItem]:
    generator = torch.Generator().manual_seed(5)
    return [
        TrainingItem(
            name=str(index),
            latent=torch.randn(4, 8, 8, generator=generator),
            geometry=second.geometry(),
            embedding=second.embedding(index),
            caption=str(index),
            weight=1.0,
        )
        for index in range(COUNT)
    ]


def make_adapter(second: ModuleType, denoiser: Any) -> LoraAdapter:
    """With random ``up`` factors: at zero, ``down`` would have no gradient."""
    adapter = LoraAdapter(
        choose_parts(
            denoiser.modules(), second.FAMILY, AdapterSettings(), rank=RANK, alpha=ALPHA
        ),
        denoiser.weights,
        seed=SEED,
        device=torch.device("cpu"),
    )
    generator = torch.Generator().manual_seed(9)
    state = {
        name: torch.randn(value.shape, generator=generator) * 0.1
        for name, value in adapter.state().items()
    }
    adapter.load(state)
    return adapter


def make_runner(second: ModuleType, denoiser: Denoiser) -> StepRunner:
    items = make_items(second)
    return StepRunner(
        denoiser=denoiser,
        recipe=make_recipe(
            ObjectiveSettings(), denoiser.sampling, second.FAMILY.training.variants["base"], 2
        ),
        views=make_views(denoiser, items),
        seed=SEED,
        microbatch_limit=COUNT,
    )


def ours(
    second: ModuleType, unet: Any, *, recompute: bool = False, limit: int = COUNT,
    kind: tuple[str, bool] = KINDS[0],
) -> tuple[float, dict[str, torch.Tensor], Any]:
    denoiser = second.DiffusersDenoiser(unet, *kind)
    adapter, runner = make_adapter(second, denoiser), make_runner(second, denoiser)
    runner.microbatch_limit = limit
    targeted = {id(part.module) for part in adapter.parts.values()}
    others = [m for m in denoiser.modules().values() if id(m) not in targeted]
    with Attachment() as attachment:
        adapter.attach(attachment)
        attach_frozen(attachment, others, denoiser.weights)
        if recompute:
            assert checkpoint_blocks(attachment, denoiser, second.FAMILY) > 0
        batch = [Sample(index, index) for index in range(COUNT)]
        loss = runner.backward([batch], STEP, 1.0, lambda: None)
    gradients = {}
    for name, parameter in adapter.named_parameters():
        assert parameter.grad is not None, name
        gradients[name] = parameter.grad
    return loss, gradients, denoiser


def drawn_timesteps() -> torch.Tensor:
    """What the runner draws, as diffusers counts."""
    even = even_draws(SEED, STEP, list(range(COUNT)), COUNT, stratified=True)
    return (even * 1000).long()


def theirs(
    second: ModuleType, unet: Any, state: dict[str, torch.Tensor], kind: tuple[str, bool]
) -> tuple[float, dict[str, torch.Tensor]]:
    """Plain PEFT on the whole UNet, and the loss as every diffusers script has it."""
    from peft import LoraConfig

    paths = sorted({name.rpartition(".")[0] for name in state})
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=paths))
    factors: dict[str, torch.nn.Parameter] = {}
    for name, parameter in unet.named_parameters():
        match = re.fullmatch(r"(.*)\.lora_(A|B)\.default\.weight", name)
        if match:
            factors[f"{match[1]}.{'down' if match[2] == 'A' else 'up'}"] = parameter
    assert set(factors) == set(state)
    with torch.no_grad():
        for name, parameter in factors.items():
            parameter.copy_(state[name])
    items, slots = make_items(second), list(range(COUNT))
    latents = torch.stack([item.latent for item in items])
    noise = draw_noise(SEED, STEP, slots, latents.shape[1:])
    timesteps, schedule = drawn_timesteps(), second.make_schedule(*kind)
    noisy = schedule.add_noise(latents.double(), noise.double(), timesteps).float()
    target = noise
    if kind[0] == "v":
        target = schedule.get_velocity(latents.double(), noise.double(), timesteps).float()
    tokens = torch.cat([item.embedding.tokens for item in items])
    loss = functional.mse_loss(unet(noisy, timesteps, tokens).sample, target)
    loss.backward()
    return float(loss.detach()), {name: p.grad for name, p in factors.items() if p.grad is not None}


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=["eps", "v", "v with zero terminal SNR"])
def test_loss_and_gradients_equal_plain_peft(
    second: ModuleType, recompute: bool, kind: tuple[str, bool]
) -> None:
    unet = second.make_unet()
    reference = copy.deepcopy(unet)
    state = make_adapter(second, second.DiffusersDenoiser(unet)).state()
    loss, gradients, denoiser = ours(second, unet, recompute=recompute, kind=kind)
    wanted_loss, wanted = theirs(second, reference, state, kind)
    assert loss == pytest.approx(wanted_loss, rel=1e-4)
    assert gradients.keys() == wanted.keys()
    assert any(".conv1." in name for name in wanted)
    for name, value in wanted.items():
        assert float(value.abs().max()) > 0, name
        scale = float(value.abs().max())
        torch.testing.assert_close(gradients[name], value, rtol=1e-4, atol=1e-4 * scale)
    assert denoiser.weights.fetched == denoiser.weights.released > 0


def test_smaller_parts_add_up_to_the_same_step(second: ModuleType) -> None:
    unet = second.make_unet()
    loss, gradients, _ = ours(second, unet)
    split_loss, split, _ = ours(second, unet, limit=1)
    assert split_loss == pytest.approx(loss, rel=1e-6)
    for name, value in gradients.items():
        torch.testing.assert_close(split[name], value, rtol=1e-4, atol=1e-6)


def test_the_network_is_untouched_and_fresh_adapters_change_nothing(second: ModuleType) -> None:
    unet = second.make_unet()
    tensors = {name: value.clone() for name, value in unet.state_dict().items()}
    denoiser = second.DiffusersDenoiser(unet)
    runner = make_runner(second, denoiser)
    batch = [Sample(index, index) for index in range(COUNT)]
    with torch.no_grad():
        before = runner.losses(batch, STEP, COUNT)
    adapter = LoraAdapter(
        choose_parts(denoiser.modules(), second.FAMILY, AdapterSettings(), rank=4, alpha=6),
        denoiser.weights, seed=1, device=torch.device("cpu"),
    )
    with Attachment() as attachment, torch.no_grad():
        adapter.attach(attachment)
        assert torch.equal(runner.losses(batch, STEP, COUNT), before)
    ours(second, unet)
    assert [n for n, m in unet.named_modules() if "forward" in m.__dict__] == []
    assert unet.state_dict().keys() == tensors.keys()
    for name, value in unet.state_dict().items():
        assert torch.equal(value, tensors[name]), name
