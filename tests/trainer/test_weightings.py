"""Noise schedules and weights against closed forms in float64, at every one of 1000 timesteps."""

from __future__ import annotations

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import rescale_zero_terminal_snr

from lora_kiln.core.errors import ConfigError
from lora_kiln.lora_format.family import families
from lora_kiln.trainer.law import (
    LEAST_ALPHA_BAR,
    ContinuousLaw,
    DiscreteLaw,
    FlowLaw,
    ddpm_sigmas,
)
from lora_kiln.trainer.objective import objective_for
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.recipe import Recipe, make_recipe
from lora_kiln.trainer.weighting import weightings

SCHEDULES = {"as published": False, "zero terminal SNR": True}
TIMES = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
EDM = ContinuousLaw(prediction="edm", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
BASE = families()["sdxl"].training.variants["base"]


def signals(zero_terminal: bool) -> torch.Tensor:
    """``sqrt(alpha_bar)`` (1000,) by plain products of Python's numbers."""
    step = (0.012**0.5 - 0.00085**0.5) / 999
    found, product = [], 1.0
    for index in range(1000):
        product *= 1 - (0.00085**0.5 + index * step) ** 2
        found.append(product**0.5)
    if zero_terminal:
        first, last = found[0], found[-1]
        found = [(value - last) * first / (first - last) for value in found]
        # The one number that hosts put in place of zero.
        found[-1] = LEAST_ALPHA_BAR**0.5
    return torch.tensor(found, dtype=torch.float64)


def snr_of(zero_terminal: bool) -> torch.Tensor:
    """``alpha_bar / (1 - alpha_bar)``, (1000,)."""
    power = signals(zero_terminal).square()
    return power / (1 - power)


def make(prediction: str, zero_terminal: bool, weighting: str, gamma: float = 0.0) -> Recipe:
    law = DiscreteLaw(prediction=prediction, sigmas=ddpm_sigmas(zero_terminal=zero_terminal))
    settings = ObjectiveSettings(weighting=weighting, gamma=gamma)
    return make_recipe(settings, law, BASE, 2)


def weights(prediction: str, zero_terminal: bool, weighting: str, gamma: float = 0.0
            ) -> torch.Tensor:
    """Of all 1000 timesteps, as a run would count them."""
    recipe = make(prediction, zero_terminal, weighting, gamma)
    return recipe.weights(recipe.law.sigma(TIMES))


def closed_form(name: str, prediction: str, snr: torch.Tensor, gamma: float) -> torch.Tensor:
    """The published weights, v's as the denoised picture's over SNR + 1."""
    if name == "none":
        return torch.ones_like(snr)
    if name == "debiased":
        return 1 / (snr + 1) if prediction == "v" else snr.clamp(1e-3, 1e3) ** -0.5
    of_picture = {
        "min_snr": torch.minimum(snr, torch.full_like(snr, gamma)),
        "soft_min_snr": snr * gamma / (snr + gamma),
        "p2": snr / (1 + snr) ** gamma,
    }[name]
    return of_picture / (snr + 1 if prediction == "v" else snr)


@pytest.mark.parametrize("zero_terminal", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_snr(prediction: str, zero_terminal: bool) -> None:
    sigmas = ddpm_sigmas(zero_terminal=zero_terminal)
    found = objective_for(prediction).snr(sigmas, 1.0)
    torch.testing.assert_close(found, snr_of(zero_terminal), rtol=1e-9, atol=0)
    law = DiscreteLaw(prediction=prediction, sigmas=sigmas)
    assert torch.equal(law.sigma(TIMES), sigmas)
    assert torch.equal((law.time(sigmas) * 1000).long(), torch.arange(1000))
    assert law.zero_terminal == zero_terminal


def test_zero_terminal_snr_is_diffusers() -> None:
    """Algorithm 1 of arXiv 2305.08891; but for the last timestep, which is held above zero."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    theirs = (1 - rescale_zero_terminal_snr(betas)).cumprod(0)
    ours = 1 / (1 + ddpm_sigmas(zero_terminal=True).square())
    torch.testing.assert_close(ours[:-1], theirs[:-1], rtol=1e-9, atol=0)
    assert float(theirs[-1]) == 0
    assert float(ours[-1]) == pytest.approx(LEAST_ALPHA_BAR, rel=1e-9)
    plain = 1 / (1 + ddpm_sigmas().square())
    assert float(ours[0]) == pytest.approx(float(plain[0]), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("zero_terminal", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("name", sorted(weightings()))
def test_weights(name: str, prediction: str, zero_terminal: bool, gamma: float) -> None:
    found = weights(prediction, zero_terminal, name, gamma)
    usual = {"min_snr": 5.0, "soft_min_snr": 4.0, "p2": 1.0}.get(name, 0.0)
    wanted = closed_form(name, prediction, snr_of(zero_terminal), gamma or usual)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
    assert bool(found.isfinite().all()) and float(found.min()) >= 0


@pytest.mark.parametrize("name", sorted(weightings()))
def test_weights_at_pure_noise_and_pure_picture(name: str) -> None:
    """SNR exactly 0 and exactly infinite: what the formula tends to, not NaN."""
    weighting, ends = weightings()[name], torch.tensor([torch.inf, 0.0], dtype=torch.float64)
    limits = {
        "none": {"eps": (1, 1), "v": (1, 1), "edm": (1, 1), "flow": (1, 1)},
        "min_snr": {"eps": (1, 0), "v": (0, 0), "edm": (0, 0)},
        "soft_min_snr": {"eps": (1, 0), "v": (0, 0), "edm": (0, 0)},
        "p2": {"eps": (1, 0), "v": (0, 0), "edm": (0, 0)},
        "debiased": {"eps": (1e3**0.5, 1e-3**0.5), "v": (1, 0)},
    }[name]
    assert set(limits) == set(weighting.objectives)
    for prediction, wanted in limits.items():
        objective, gamma = objective_for(prediction), weighting.gamma or 0.0
        sigma = torch.tensor([1.0, 0.0]).double() if prediction == "flow" else ends
        snr, share = objective.snr(sigma, 1.0), objective.eps_share(sigma, 1.0)
        assert snr.tolist() == [0, torch.inf]
        found = weighting.weight(snr, share, gamma, prediction)
        assert found.tolist() == pytest.approx(wanted), prediction


@pytest.mark.parametrize("zero_terminal", SCHEDULES.values(), ids=SCHEDULES)
def test_left_alone_a_v_model_learns_from_its_last_timestep(zero_terminal: bool) -> None:
    law = DiscreteLaw(prediction="v", sigmas=ddpm_sigmas(zero_terminal=zero_terminal))
    recipe = make_recipe(ObjectiveSettings(), law, BASE, 2)
    assert recipe.weights(law.sigma(TIMES))[-1] == 1
    # As it does with the debiased weights; min-SNR gives it nothing.
    assert float(weights("v", True, "debiased")[-1]) == pytest.approx(1)
    assert float(weights("v", True, "min_snr")[-1]) < 1e-6


def test_the_figures_of_the_reference_on_min_snr_and_v() -> None:
    """Share of all weight from timestep 900 on, and weights of single timesteps."""
    found = weights("v", True, "min_snr")
    assert 100 * float(found[900:].sum() / found.sum()) == pytest.approx(0.03, abs=0.005)
    assert float(found[900]) == pytest.approx(0.0030, abs=0.00005)
    assert float(found[500]) == pytest.approx(0.241, abs=0.0005)
    plain = weights("v", True, "none")
    assert float(plain[900:].sum() / plain.sum()) == 0.1
    # The SNR from before the rescale, as sd-scripts takes it.
    old = closed_form("min_snr", "v", snr_of(False), 5.0)
    assert 100 * float(old[900:].sum() / old.sum()) == pytest.approx(0.29, abs=0.005)


def test_soft_min_snr_of_edm_is_that_of_k_diffusion() -> None:
    """``(s d)² / (s² + d²)²`` on the output; gamma 1 over the SNR of pictures of deviation d."""
    recipe = make_recipe(ObjectiveSettings(weighting="soft_min_snr", gamma=1.0), EDM, BASE, 2)
    sigma = EDM.sigma(TIMES)
    wanted = (sigma * 0.5).square() / (sigma.square() + 0.25).square()
    torch.testing.assert_close(recipe.weights(sigma), wanted, rtol=1e-12, atol=0)


def test_a_weight_scales_the_loss_of_its_picture() -> None:
    recipe = make("eps", False, "min_snr")
    sigma = recipe.law.sigma(torch.tensor([0.0, 0.5, 0.999], dtype=torch.float64))
    error = torch.full((3, 4, 2, 2), 0.5)
    wanted = 0.25 * recipe.weights(sigma).float()
    torch.testing.assert_close(recipe.losses(error, sigma, None), wanted)


@pytest.mark.parametrize("name", ["min_snr", "soft_min_snr", "p2", "debiased"])
def test_flow_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{name}'.*trained by flow.*none.*density"):
        make_recipe(ObjectiveSettings(weighting=name), FlowLaw(shift=3.0), BASE, 2)


def test_debiased_is_refused_for_edm() -> None:
    with pytest.raises(ConfigError, match=r"trained by edm.*eps or v.*Set weighting to none"):
        make_recipe(ObjectiveSettings(weighting="debiased"), EDM, BASE, 2)
