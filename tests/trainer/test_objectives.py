"""Every objective against closed forms and against diffusers' schedulers, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler

from lora_kiln.core.errors import HostError
from lora_kiln.core.protocols import SamplingLaw
from lora_kiln.trainer.law import ContinuousLaw, DiscreteLaw, FlowLaw, ddpm_sigmas, over
from lora_kiln.trainer.objective import objective_for, objectives

EDM = ContinuousLaw(prediction="edm", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
LAWS: dict[str, SamplingLaw] = {
    "eps": DiscreteLaw(prediction="eps", sigmas=ddpm_sigmas()),
    "v": DiscreteLaw(prediction="v", sigmas=ddpm_sigmas()),
    "v with zero terminal SNR": DiscreteLaw(
        prediction="v", sigmas=ddpm_sigmas(zero_terminal=True)
    ),
    "v of EDM": ContinuousLaw(prediction="v", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5),
    "edm": EDM,
    "flow": FlowLaw(shift=3.0),
}
TIMES = torch.linspace(0, 1, 41, dtype=torch.float64)


def draws(*, seed: int = 0, count: int = len(TIMES)) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and noise, (B, 2, 3, 3) float64."""
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, count, 2, 3, 3, generator=generator, dtype=torch.float64)
    return both[0], both[1]


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_true_target_denoises_exactly(law: SamplingLaw) -> None:
    """``c_skip * x + c_out * target`` is the clean latent, at every noise level."""
    objective, (latent, noise) = objective_for(law.prediction), draws()
    sigma, data = law.sigma(TIMES), law.sigma_data
    noisy = law.noisy(sigma, noise, latent)
    target = objective.target(latent, noise, over(sigma, latent), data)
    skip, out = objective.c_skip(sigma, data), objective.c_out(sigma, data)
    denoised = over(skip, noisy) * noisy + over(out, noisy) * target
    size = over(1 + skip.abs() * sigma + out.abs(), noisy)
    assert float(((denoised - latent) / size).abs().max()) < 1e-14


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_squared_error_is_that_of_the_denoised_over_c_out_squared(law: SamplingLaw) -> None:
    objective, (latent, noise) = objective_for(law.prediction), draws()
    sigma, data = law.sigma(TIMES), law.sigma_data
    noisy = law.noisy(sigma, noise, latent)
    answer = latent + 0.3 * draws(seed=1)[0]
    target = objective.target(latent, noise, over(sigma, latent), data)
    skip, out = objective.c_skip(sigma, data), objective.c_out(sigma, data)
    output = (answer - over(skip, noisy) * noisy) / over(out, noisy)
    ours = (output - target).square().flatten(1).mean(1)
    wanted = (answer - latent).square().flatten(1).mean(1) / out.square()
    torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_recovered_output_is_what_the_network_said(law: SamplingLaw) -> None:
    """In the float32 that training computes it in, the host's arithmetic undone."""
    objective, (latent, noise) = objective_for(law.prediction), draws()
    sigma, data = law.sigma(TIMES).float(), law.sigma_data
    latent, noise = latent.float(), noise.float()
    noisy = law.noisy(sigma, noise, latent)
    said = draws(seed=2)[0].float()
    skip, out = objective.c_skip(sigma, data), objective.c_out(sigma, data)
    denoised = over(skip, noisy) * noisy + over(out, noisy) * said
    found = objective.output(noisy, denoised, sigma, data)
    error = (found - said).flatten(1).norm(dim=1) / said.flatten(1).norm(dim=1)
    # Where there is next to no noise, next to nothing of the output is in the answer.
    assert float((error * out.abs()).max()) < 1e-6
    assert float(error[sigma > 0.02].max()) < 1e-5


def test_the_answer_may_be_wrong_by_what_was_said_wrong() -> None:
    """The gradient with respect to the answer is that of the output's squared error."""
    objective, (latent, noise) = objective_for("v"), draws(count=3)
    sigma = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    noisy = latent + over(sigma, latent) * noise
    denoised = (latent + 0.1).requires_grad_(True)
    error = objective.error(latent, noise, noisy, denoised, sigma)
    error.square().sum().backward()
    assert denoised.grad is not None
    out = objective.c_out(sigma, 1.0)
    wanted = 2 * error / over(out, error)
    torch.testing.assert_close(denoised.grad.float(), wanted.detach().float(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("zero_terminal", [False, True])
def test_v_is_diffusers_velocity(zero_terminal: bool) -> None:
    schedule: Any = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        rescale_betas_zero_snr=zero_terminal,
    )
    sigmas = ddpm_sigmas(zero_terminal=zero_terminal)
    # Diffusers' own table in float64: its arithmetic is compared here, not its rounding.
    schedule.alphas_cumprod = 1 / (1 + sigmas.square())
    timesteps = torch.arange(0, 1000, 25).clamp(max=999)
    timesteps[-1] = 999
    latent, noise = draws(count=len(timesteps))
    sigma = over(sigmas[timesteps], latent)
    ours = objective_for("v").target(latent, noise, sigma, 1.0)
    wanted = schedule.get_velocity(latent, noise, timesteps)
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-9)
    # The network sees the same picture: x over the root of sigma squared plus one.
    seen = (latent + sigma * noise) / (sigma.square() + 1).sqrt()
    wanted = schedule.add_noise(latent, noise, timesteps)
    torch.testing.assert_close(seen, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "theirs"), [("edm", "epsilon"), ("v", "v_prediction")])
def test_edm_is_diffusers_preconditioning(name: str, theirs: str) -> None:
    schedule: Any = EDMEulerScheduler(sigma_data=0.5, prediction_type=theirs)
    objective, (latent, said) = objective_for(name), draws()
    for sigma in EDM.sigma(TIMES):
        level = sigma[None]
        wanted = schedule.precondition_outputs(latent, said, level)
        skip, out = objective.c_skip(level, 0.5), objective.c_out(level, 0.5)
        torch.testing.assert_close(skip * latent + out * said, wanted, rtol=1e-12, atol=1e-14)


def test_edm_targets_have_unit_variance() -> None:
    """What table 1 of arXiv 2206.00364 is made for; and so has the input that is fed."""
    schedule: Any = EDMEulerScheduler(sigma_data=0.5)
    objective = objective_for("edm")
    generator = torch.Generator().manual_seed(0)
    latent = 0.5 * torch.randn(100_000, generator=generator, dtype=torch.float64)
    noise = torch.randn(100_000, generator=generator, dtype=torch.float64)
    for sigma in (0.002, 0.1, 0.5, 2.0, 80.0):
        level = torch.tensor(sigma, dtype=torch.float64)
        target = objective.target(latent, noise, level, 0.5)
        seen = schedule.precondition_inputs(latent + sigma * noise, level)
        assert float(target.var()) == pytest.approx(1, rel=0.02)
        assert float(seen.var()) == pytest.approx(1, rel=0.02)


def test_flow_is_diffusers_line() -> None:
    schedule: Any = FlowMatchEulerDiscreteScheduler()
    latent, noise = draws(count=20)
    timesteps = schedule.timesteps[::50]
    sigma = schedule.sigmas[:-1][::50]
    wanted = schedule.scale_noise(latent, timesteps, noise)
    noisy = FlowLaw().noisy(sigma, noise, latent)
    torch.testing.assert_close(noisy, wanted, rtol=1e-6, atol=1e-6)
    # The line's slope; and one Euler step of the sampler along it ends at the clean latent.
    velocity = objective_for("flow").target(latent, noise, over(sigma, latent), 1.0)
    torch.testing.assert_close(noisy - over(sigma, latent) * velocity, latent, rtol=0, atol=1e-6)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_eps_share_turns_the_outputs_error_into_that_of_the_noise(law: SamplingLaw) -> None:
    """Through the denoised latent, by the mixture alone: no formula of ours is used."""
    objective, sigma = objective_for(law.prediction), law.sigma(TIMES)
    out, data = objective.c_out(sigma, law.sigma_data), law.sigma_data
    signal = 1 - sigma if law.prediction == "flow" else torch.ones_like(sigma)
    # x = signal * x0 + sigma * eps is given, so an error of x0 is one of eps, scaled.
    error_of_eps = (out * signal / sigma).square()
    torch.testing.assert_close(objective.eps_share(sigma, data), error_of_eps)
    spread = 1.0 if law.prediction == "flow" else data
    torch.testing.assert_close(objective.snr(sigma, data), (signal * spread / sigma).square())


def test_what_nobody_knows_is_refused() -> None:
    assert set(objectives()) == {"eps", "v", "edm", "flow"}
    with pytest.raises(HostError, match=r"x0.*edm, eps, flow, v"):
        objective_for("x0")
