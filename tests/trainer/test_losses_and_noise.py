"""Robust losses, masks and noise that is not white."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from lora_kiln.core.errors import ConfigError
from lora_kiln.core.protocols import SamplingLaw
from lora_kiln.lora_format.family import families
from lora_kiln.trainer.draws import draw_noise
from lora_kiln.trainer.law import ContinuousLaw, DiscreteLaw, FlowLaw, ddpm_sigmas
from lora_kiln.trainer.loss import losses, mean_loss, width
from lora_kiln.trainer.noise import NoiseOptions
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.recipe import Recipe, make_recipe

LAWS: dict[str, SamplingLaw] = {
    "eps": DiscreteLaw(prediction="eps", sigmas=ddpm_sigmas()),
    "v": DiscreteLaw(prediction="v", sigmas=ddpm_sigmas()),
    "zero terminal SNR": DiscreteLaw(prediction="v", sigmas=ddpm_sigmas(zero_terminal=True)),
    "edm": ContinuousLaw(prediction="edm", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5),
    "flow": FlowLaw(shift=3.0),
}
BASE = families()["sdxl"].training.variants["base"]
ERRORS = torch.linspace(-5, 5, 401, dtype=torch.float64)
SHAPE, SLOTS = (4, 32, 48), list(range(64))


def make(law: str = "eps", **settings: Any) -> Recipe:
    return make_recipe(ObjectiveSettings(**settings), LAWS[law], BASE, 2)


def elements(name: str, c: float, errors: torch.Tensor = ERRORS) -> torch.Tensor:
    return losses()[name].elementwise(errors, torch.full_like(errors, c))


@pytest.mark.parametrize("c", [1e-3, 0.1, 1.0, 30.0])
def test_formulas(c: float) -> None:
    root = (ERRORS.square() + c**2).sqrt() - c
    # The published form is a difference of two nearly equal numbers.
    torch.testing.assert_close(elements("huber", c), 2 * c * root, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(elements("smooth_l1", c), 2 * root, rtol=1e-9, atol=1e-12)
    assert torch.equal(elements("mse", c), ERRORS.square())
    for name in losses():
        small, large = torch.tensor([1e-4 * c]).double(), torch.tensor([1e4 * c]).double()
        near = small.square() / (c if name == "smooth_l1" else 1)
        torch.testing.assert_close(elements(name, c, small), near, rtol=1e-6, atol=0)
        far = {"huber": 2 * c * large, "smooth_l1": 2 * large, "mse": large.square()}[name]
        torch.testing.assert_close(elements(name, c, large), far, rtol=2e-4, atol=0)


def test_wide_huber_is_squared_error() -> None:
    torch.testing.assert_close(elements("huber", 1e5), ERRORS.square(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["huber", "smooth_l1"])
def test_gradients_are_finite_at_zero_and_bounded(name: str) -> None:
    errors = torch.tensor([0.0, 1e-8, 3.0, -1e6], requires_grad=True)
    elements(name, 0.1, errors).sum().backward()
    assert errors.grad is not None and bool(errors.grad.isfinite().all())
    bound = 2 * 0.1 if name == "huber" else 2
    assert float(errors.grad[0]) == 0 and float(errors.grad.abs().max()) <= bound * (1 + 1e-6)


def test_width_schedules() -> None:
    """arXiv 2403.16728: from 1 at a clean picture down to c at pure noise."""
    sigma, time = torch.tensor([0.0, 1.0, torch.inf]), torch.tensor([0.0, 0.5, 1.0])
    assert width("snr", 0.1, sigma, time).tolist() == pytest.approx([1, 0.9 / 4 + 0.1, 0.1])
    assert width("exponential", 0.1, sigma, time).tolist() == pytest.approx([1, 0.1**0.5, 0.1])
    assert width("constant", 0.1, sigma, time).tolist() == pytest.approx([0.1] * 3)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("schedule", ["snr", "exponential"])
def test_the_width_falls_on_every_model(law: str, schedule: str) -> None:
    """Told by the loss of large errors, which is about 2 c |e|."""
    recipe = make(law, loss="huber", huber_schedule=schedule, huber_width=0.1)
    sigma = recipe.law.sigma(torch.linspace(0, 1, 11, dtype=torch.float64))
    error = torch.full((11, 1, 1, 1), 1e4)
    widths = recipe.losses(error, sigma, None) / (2 * 1e4)
    assert bool((widths.diff() < 0).all())
    assert float(widths[0]) > 0.93 and 0.0999 <= float(widths[-1]) < 0.105


def test_a_mask_that_covers_everything_changes_nothing() -> None:
    values = torch.rand(3, 4, 6, 8)
    ones = torch.ones(3, 1, 6, 8)
    torch.testing.assert_close(mean_loss(values, ones), mean_loss(values, None))
    torch.testing.assert_close(mean_loss(values, ones * 0.3), mean_loss(values, None))
    torch.testing.assert_close(mean_loss(values, None), values.flatten(1).mean(1))


def test_a_masks_loss_is_the_mean_over_what_it_covers() -> None:
    """However small that is; outside nothing counts, and gets no gradient."""
    values = torch.rand(2, 4, 6, 8, requires_grad=True)
    mask = torch.zeros(2, 1, 6, 8)
    mask[0, :, :, :4], mask[1, :, 2, 3] = 1, 1
    found = mean_loss(values, mask)
    wanted = [values[0, :, :, :4].mean(), values[1, :, 2, 3].mean()]
    torch.testing.assert_close(found, torch.stack(wanted))
    found.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad != 0, (mask > 0).expand_as(values))


def test_outside_of_a_mask() -> None:
    """Counts as much as was set; with 1 the mask is none."""
    error = torch.randn(1, 4, 6, 8)
    mask = torch.zeros(1, 1, 6, 8)
    mask[..., :4] = 1
    sigma = torch.ones(1, dtype=torch.float64)
    inside, outside = error[..., :4].square().mean(), error[..., 4:].square().mean()
    for share in (0.0, 0.25, 1.0):
        found = make(outside_mask=share).losses(error, sigma, mask)
        torch.testing.assert_close(found[0], (inside + share * outside) / (1 + share))


def test_plain_noise_is_the_seeds_own() -> None:
    options, wanted = NoiseOptions(), draw_noise(5, 3, SLOTS, SHAPE)
    assert torch.equal(options.noise(5, 3, SLOTS, SHAPE), wanted)
    assert options.input_noise(wanted, 5, 3, SLOTS) is wanted


@pytest.mark.parametrize("options", [
    NoiseOptions(offset=0.1), NoiseOptions(pyramid_levels=5), NoiseOptions(),
    NoiseOptions(offset=0.05, pyramid_levels=3, pyramid_discount=0.5),
])
def test_noise_is_a_function_of_seed_step_and_slot(options: NoiseOptions) -> None:
    whole = options.noise(5, 3, [0, 1, 2], SHAPE)
    assert torch.equal(options.noise(5, 3, [2, 0], SHAPE), whole[[2, 0]])
    for other in (options.noise(6, 3, [0, 1, 2], SHAPE), options.noise(5, 4, [0, 1, 2], SHAPE)):
        assert float(functional.cosine_similarity(other.flatten(), whole.flatten(), dim=0)) < 0.1
    similar = functional.cosine_similarity(whole[0].flatten(), whole[1].flatten(), dim=0)
    assert abs(float(similar)) < 0.2


def test_offset_moves_the_mean_of_every_channel() -> None:
    """By a normal number of the set deviation, and nothing else."""
    plain = draw_noise(5, 3, SLOTS, SHAPE)
    moved = NoiseOptions(offset=0.3).noise(5, 3, SLOTS, SHAPE) - plain
    torch.testing.assert_close(moved, moved[..., :1, :1].expand_as(moved), rtol=0, atol=1e-6)
    assert float(moved[..., 0, 0].std()) == pytest.approx(0.3, rel=0.15)
    assert float(moved[..., 0, 0].mean()) == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("levels", [1, 3, 6, 10])
@pytest.mark.parametrize("size", [(32, 48), (9, 5)])
def test_pyramid_noise(levels: int, size: tuple[int, int]) -> None:
    """Unit variance in every picture, and large shapes on top of the fine ones."""
    shape = (4, *size)
    noise = NoiseOptions(pyramid_levels=levels, pyramid_discount=0.5).noise(5, 3, SLOTS, shape)
    assert noise.shape == (64, *shape)
    torch.testing.assert_close(noise.flatten(1).var(1), torch.ones(64))
    assert abs(float(noise.mean())) < 0.05

    def coarse(values: torch.Tensor) -> float:
        return float(functional.avg_pool2d(values, 4).var())

    assert coarse(noise) > 1.3 * coarse(draw_noise(5, 3, SLOTS, shape))


def test_input_perturbation_leaves_what_is_asked_for() -> None:
    """Only what is shown gets noisier, by gamma (arXiv 2301.11706); what is asked stays."""
    options = NoiseOptions(input_perturbation=0.1)
    asked = options.noise(5, 3, SLOTS, SHAPE)
    assert torch.equal(asked, draw_noise(5, 3, SLOTS, SHAPE))
    kept = asked.clone()
    extra = options.input_noise(asked, 5, 3, SLOTS) - asked
    assert torch.equal(asked, kept)
    assert float(extra.std()) == pytest.approx(0.1, rel=0.01)
    similar = functional.cosine_similarity(extra.flatten(), asked.flatten(), dim=0)
    assert abs(float(similar)) < 0.02
    again = options.input_noise(asked[[3]], 5, 3, [3]) - asked[[3]]
    assert torch.equal(again, extra[[3]])


ALLOWED = {
    "noise_offset": ("eps", "v"),
    "pyramid_levels": ("eps", "v"),
    "input_perturbation": ("eps", "v", "zero terminal SNR"),
}
VALUES = {"noise_offset": 0.05, "pyramid_levels": 6, "input_perturbation": 0.1}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ALLOWED)
def test_refused_where_it_means_nothing(name: str, law: str) -> None:
    settings = {name: VALUES[name]}
    if law in ALLOWED[name]:
        make(law, **settings)
        return
    reason = "trained by edm" if law == "edm" else "trained by flow|pure noise already"
    with pytest.raises(ConfigError, match=f"{name} is {VALUES[name]}, .*({reason})") as caught:
        make(law, **settings)
    assert f"Set {name} to 0" in str(caught.value)
