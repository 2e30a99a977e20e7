"""Densities of noise levels, shifts and ranges against published formulas and diffusers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.training_utils import compute_density_for_timestep_sampling
from scipy import stats

from lora_kiln.core.errors import ConfigError
from lora_kiln.core.protocols import SamplingLaw
from lora_kiln.lora_format.family import families
from lora_kiln.lora_format.training import Variant
from lora_kiln.trainer.densities.mode import WIDEST
from lora_kiln.trainer.density import densities
from lora_kiln.trainer.law import ContinuousLaw, DiscreteLaw, FlowLaw, ddpm_sigmas
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.recipe import Recipe, make_recipe
from lora_kiln.trainer.shares import shares
from lora_kiln.trainer.shift import shift_by_tokens, shifted

COUNT = 200_000
LATENT = (16, 128, 128)
EDM = ContinuousLaw(prediction="edm", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
FLOW = FlowLaw(shift=3.0)
SDXL = DiscreteLaw(prediction="eps", sigmas=ddpm_sigmas())
LAWS: dict[str, SamplingLaw] = {"eps": SDXL, "flow": FLOW, "edm": EDM}
BASE = families()["sdxl"].training.variants["base"]
ENDS = torch.tensor([0.0, 1.0], dtype=torch.float64)


def uniform(*, seed: int = 0, count: int = COUNT) -> torch.Tensor:
    """(count,) float64, as unstratified draws are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def make(law: SamplingLaw, variant: Variant = BASE, **settings: Any) -> Recipe:
    return make_recipe(ObjectiveSettings(**settings), law, variant, 2)


def drawn(name: str, law: SamplingLaw = FLOW, *, shape: tuple[int, ...] = LATENT, **settings: Any
          ) -> torch.Tensor:
    """Times as a run would draw them, without a shift unless it is asked for."""
    settings = {"shift": "none", **settings}
    return make(law, density=name, **settings).times(uniform(), shape)


def fits(times: torch.Tensor, cdf: Callable[[Any], Any]) -> bool:
    """Kolmogorov-Smirnov on 200,000 draws: sees 0.4 % of probability in the wrong place."""
    return bool(stats.kstest(times.numpy(), cdf).pvalue > 0.01)


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return bool(stats.ks_2samp(first.numpy(), second.numpy()).pvalue > 0.01)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("spread", ["usual", "wide"])
@pytest.mark.parametrize("name", sorted(densities()))
def test_quantiles_rise_within_the_schedule(name: str, spread: str, law: SamplingLaw) -> None:
    density = densities()[name]
    width = density.spread or 0.0
    if spread == "wide":
        width = density.widest or 10.0
    even = torch.linspace(0, 1, 5001, dtype=torch.float64)
    times = density.quantile(even, density.mean or 0.0, width, law)
    assert bool(times.isfinite().all())
    assert float(times.min()) >= -1e-12 and float(times.max()) <= 1 + 1e-12
    assert float(times.diff().min()) >= -1e-12
    levels = law.sigma(density.quantile(ENDS, density.mean or 0.0, width, law))
    assert bool(levels.isfinite().all()) and float(levels.min()) > 0


def test_wider_than_mode_can_be_is_refused() -> None:
    """Beyond 2 / (pi - 2) its quantile function turns back and leaves the schedule."""
    quantile = densities()["mode"].quantile
    even = torch.linspace(0, 1, 5001, dtype=torch.float64)
    assert float(quantile(even, 0.0, WIDEST + 0.05, FLOW).diff().min()) < 0
    make(FLOW, density="mode", density_spread=1.75)
    with pytest.raises(ConfigError, match=r"density_spread is 3.*mode.*at most 1\.7519.*1\.29"):
        make(FLOW, density="mode", density_spread=3.0)


@pytest.mark.parametrize(
    ("name", "theirs", "mean", "spread"),
    [
        ("logit_normal", "logit_normal", 0.0, 1.0), ("logit_normal", "logit_normal", 0.7, 1.5),
        ("sigmoid", "logit_normal", 0.0, 1.0), ("mode", "mode", 0.0, 1.29),
        ("mode", "mode", 0.0, 0.8), ("uniform", "none", 0.0, 0.0),
    ],
)
def test_draws_as_diffusers_does(name: str, theirs: str, mean: float, spread: float) -> None:
    wanted = compute_density_for_timestep_sampling(
        theirs, COUNT, logit_mean=mean, logit_std=spread, mode_scale=spread,
        generator=torch.Generator().manual_seed(7),
    )
    assert same(drawn(name, density_mean=mean, density_spread=spread), wanted)


CDFS: dict[str, Callable[[Any], Any]] = {
    "cosmap": lambda t: (2 / math.pi) * np.arctan2(t, 1 - t),
    "cubic": lambda t: 1 - (1 - t) ** (1 / 3),
    "uniform": lambda t: t,
    "sigmoid": lambda t: stats.norm.cdf(np.log(t / (1 - t))),
}


@pytest.mark.parametrize("name", CDFS)
def test_published_distribution(name: str) -> None:
    assert fits(drawn(name), CDFS[name])


def test_cosmap_has_the_published_density() -> None:
    """pi(t) = 2 / (pi - 2 pi t + 2 pi t²), arXiv 2403.03206, section 3.1."""
    even = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    times = densities()["cosmap"].quantile(even, 0.0, 0.0, FLOW)
    density = (even[2:] - even[:-2]) / (times[2:] - times[:-2])
    middle = times[1:-1]
    wanted = 2 / (math.pi - 2 * math.pi * middle + 2 * math.pi * middle.square())
    torch.testing.assert_close(density, wanted, rtol=1e-4, atol=0)


def test_cubic_is_what_t2i_adapter_draws() -> None:
    assert same(drawn("cubic"), 1 - uniform(seed=5) ** 3)


def test_lognormal_is_edms() -> None:
    """``ln sigma`` is normal, of mean -1.2 and deviation 1.2; by default on an EDM model."""
    recipe = make(EDM)
    sigma = EDM.sigma(recipe.times(uniform(), LATENT))
    assert recipe.density.name == "lognormal"
    assert fits(sigma.log(), stats.norm(-1.2, 1.2).cdf)
    assert fits(EDM.sigma(drawn("lognormal", EDM, density_mean=0.5, density_spread=0.8)).log(),
                stats.norm(0.5, 0.8).cdf)


def test_lognormal_of_a_flow_is_a_logit_normal() -> None:
    """The noise per unit of picture is the same; no draw ends up beyond pure noise."""
    times = drawn("lognormal", density_mean=-1.2, density_spread=1.2)
    assert float(times.max()) < 1
    assert fits((times / (1 - times)).log(), stats.norm(-1.2, 1.2).cdf)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_sdxl_trains_every_timestep_alike(prediction: str) -> None:
    law = DiscreteLaw(prediction=prediction, sigmas=ddpm_sigmas())
    recipe = make(law)
    even = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    assert torch.equal(law.sigma(recipe.times(even, LATENT)), law.sigmas)
    drawn_share, weight_share = shares(recipe, LATENT)
    assert drawn_share == pytest.approx([0.1] * 10) and weight_share == pytest.approx([0.1] * 10)


def test_static_shift_is_diffusers() -> None:
    for shift in (1.0, 2.0, 3.0, 6.0):
        schedule: Any = FlowMatchEulerDiscreteScheduler(shift=shift)
        plain = torch.linspace(1000, 1, 1000, dtype=torch.float64) / 1000
        torch.testing.assert_close(
            shifted(plain, shift).float(), schedule.sigmas[:1000], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (128, 128), (152, 104), (192, 192)])
def test_shift_by_resolution_is_that_of_flux(size: tuple[int, int]) -> None:
    schedule: Any = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    tokens = size[0] * size[1] // 4
    times = uniform(count=100).clamp(0.01, 0.99)
    wanted = schedule.time_shift(calculate_shift(tokens), 1.0, times)
    torch.testing.assert_close(shifted(times, shift_by_tokens(tokens)), wanted)
    recipe = make(FLOW, density="uniform", shift="resolution")
    torch.testing.assert_close(recipe.times(times, (16, *size)), wanted)


def test_shift_of_1024_and_512_pixels() -> None:
    assert shift_by_tokens(4096) == pytest.approx(math.exp(1.15))
    assert shift_by_tokens(256) == pytest.approx(math.exp(0.5))
    assert shift_by_tokens(1024) == pytest.approx(1.88, abs=0.005)


MEDIANS = {
    "base": shifted(torch.tensor(0.5), math.exp(1.15)).item(),
    "distilled": 0.75,
    "dedistilled": 0.75,
}


@pytest.mark.parametrize("kind", MEDIANS)
def test_z_image_left_alone(kind: str) -> None:
    """Base: logit-normal under a shift by resolution; Turbo: uniform under a shift of 3."""
    recipe = make(FLOW, families()["z_image"].training.variants[kind])
    times = recipe.times(uniform(), LATENT)
    assert float(times.median()) == pytest.approx(MEDIANS[kind], abs=0.005)
    # Taken back, the shift leaves the plain density.
    factor = math.exp(1.15) if kind == "base" else 3.0
    plain = shifted(times, 1 / factor)
    assert fits(plain, CDFS["uniform" if kind == "distilled" else "sigmoid"])


def test_shift_of_the_model_itself() -> None:
    recipe = make(FlowLaw(shift=6.0), density="uniform", shift="model")
    assert float(recipe.times(uniform(), LATENT).median()) == pytest.approx(6 / 7, abs=0.003)
    with pytest.raises(ConfigError, match=r"the connected model has no shift.*Set shift to auto"):
        make(SDXL, shift="model")


@pytest.mark.parametrize("settings", [
    {"density": "logit_normal"}, {"density": "cubic", "shift": "static", "shift_value": 3.0},
    {"density": "uniform"}, {"density": "mode"}, {"density": "logit_normal", "shift": "resolution"},
])
def test_a_range_keeps_the_shape_of_the_density(settings: dict[str, Any]) -> None:
    """As if all draws outside of it were thrown away."""
    settings = {"shift": "none", **settings}
    whole = make(FLOW, **settings).times(uniform(seed=1, count=4 * COUNT), LATENT)
    inside = whole[(whole >= 0.25) & (whole <= 0.8)]
    part = make(FLOW, timestep_from=250, timestep_to=800, **settings).times(uniform(), LATENT)
    assert 0.25 - 1e-9 <= float(part.min()) < 0.2502 and 0.7998 < float(part.max()) <= 0.8 + 1e-9
    assert same(part, inside)


def test_a_range_of_timesteps() -> None:
    """Timesteps 200 to 599, all of them alike, and not one more."""
    recipe = make(SDXL, timestep_from=200, timestep_to=600)
    even = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    assert torch.equal(SDXL.sigma(recipe.times(even, LATENT)), SDXL.sigmas[200:600])
    assert torch.equal(
        SDXL.sigma(recipe.times(torch.tensor([0.0, 1 - 1e-9]), LATENT)), SDXL.sigmas[[200, 599]]
    )


def test_a_range_without_anything_in_it_is_refused() -> None:
    recipe = make(FLOW, density="logit_normal", density_mean=8.0, density_spread=0.2,
                  shift="none", timestep_to=100)
    with pytest.raises(ConfigError, match="logit_normal has nothing between timestep 0 and 100"):
        recipe.times(uniform(count=4), LATENT)
