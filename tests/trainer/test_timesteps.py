"""Evenly spread draws: the same distribution, less variance, whatever a step is split into."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from lora_kiln.lora_format.family import families
from lora_kiln.trainer.law import DiscreteLaw, ddpm_sigmas
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.recipe import make_recipe
from lora_kiln.trainer.timesteps import ROUND, even_draws


def step_draws(seed: int, step: int, total: int, *, stratified: bool = True) -> torch.Tensor:
    return even_draws(seed, step, range(total), total, stratified=stratified)


def is_uniform(values: torch.Tensor) -> bool:
    return bool(stats.kstest(values.numpy(), "uniform").pvalue > 0.01)


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("total", [1, 3, 4])
def test_every_single_draw_is_uniform(total: int, stratified: bool) -> None:
    """Over seeds at a given step and slot, and over slots of one run."""
    at = [step_draws(seed, 5, total, stratified=stratified) for seed in range(3000)]
    for slot in range(total):
        assert is_uniform(torch.stack([draws[slot] for draws in at]))
    run = [step_draws(1, step, total, stratified=stratified) for step in range(400)]
    assert all(float(draws.min()) >= 0 and float(draws.max()) < 1 for draws in run)


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 32])
def test_one_in_each_part_of_a_step_and_each_part_evenly_in_a_round(total: int) -> None:
    for turn in range(4):
        steps = [step_draws(3, turn * ROUND + step, total) for step in range(ROUND)]
        for draws in steps:
            assert sorted((draws * total).long().tolist()) == list(range(total))
        places = (torch.cat(steps) * total * ROUND).long().tolist()
        assert sorted(places) == list(range(total * ROUND))


def test_slots_take_turns() -> None:
    """Which picture of a batch gets the noisy part is a matter of chance, anew every step."""
    orders = {tuple((step_draws(3, step, 4) * 4).long().tolist()) for step in range(200)}
    assert len(orders) == 24


@pytest.mark.parametrize("stratified", [True, False])
def test_a_step_split_finer_draws_the_same(stratified: bool) -> None:
    """By accumulation, or by less memory than was thought."""
    whole = step_draws(9, 17, 6, stratified=stratified)
    for split in ([[0, 1, 2], [3, 4, 5]], [[0], [1, 2], [3, 4, 5]], [[slot] for slot in range(6)]):
        parts = [even_draws(9, 17, slots, 6, stratified=stratified) for slots in split]
        assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(even_draws(9, 17, [4, 1], 6, stratified=stratified), whole[[4, 1]])
    assert not torch.equal(step_draws(10, 17, 6, stratified=stratified), whole)
    assert not torch.equal(step_draws(9, 18, 6, stratified=stratified), whole)


@pytest.mark.parametrize(("total", "steps"), [(1, ROUND), (4, 1), (4, ROUND), (1, 2 * ROUND)])
def test_less_variance_and_the_same_mean(total: int, steps: int) -> None:
    """Of exp(-3 u): with n parts its variance is E[f'²] / (12 n² Var f) of that of plain draws."""
    found = {}
    for stratified in (True, False):
        runs = [
            torch.cat([
                step_draws(seed, step, total, stratified=stratified) for step in range(steps)
            ])
            for seed in range(600)
        ]
        means = torch.stack([torch.exp(-3 * draws).mean() for draws in runs])
        found[stratified] = float(means.var())
        error = float(means.std()) / math.sqrt(len(runs))
        assert float(means.mean()) == pytest.approx((1 - math.exp(-3)) / 3, abs=4 * error)
    square = (1 - math.exp(-6)) / 6
    variance = square - ((1 - math.exp(-3)) / 3) ** 2
    parts = total * min(steps, ROUND)
    wanted = 9 * square / (12 * parts**2 * variance)
    assert wanted < 0.12
    assert found[True] / found[False] == pytest.approx(wanted, rel=0.25)


def test_the_same_through_the_models_schedule() -> None:
    """Sigmas of SDXL in a run of single pictures: no eighth of the schedule is left out."""
    law = DiscreteLaw(prediction="eps", sigmas=ddpm_sigmas())
    variant = families()["sdxl"].training.variants["base"]
    recipe = make_recipe(ObjectiveSettings(), law, variant, 2)
    edges = law.sigmas[:: 1000 // ROUND].contiguous()
    for turn in range(5):
        even = torch.cat([step_draws(2, turn * ROUND + step, 1) for step in range(ROUND)])
        sigma = law.sigma(recipe.times(even, (4, 128, 128)))
        places = torch.searchsorted(edges, sigma, right=True) - 1
        assert sorted(places.tolist()) == list(range(ROUND))
