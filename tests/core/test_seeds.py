"""Random draws depend on their parts alone, and stay what they are for ever."""

from __future__ import annotations

from itertools import product

import torch

from lora_kiln.core.seeds import derive_seed, generator, permutation


def test_values_never_change() -> None:
    """Other values would make every run of every user another run."""
    assert derive_seed(0) == 3696793467068528757
    assert derive_seed(7, 3, 1, "noise") == 2527394024705848919
    assert permutation(8, 7, "items") == [4, 6, 5, 1, 3, 2, 7, 0]


def test_order_type_and_purpose_matter() -> None:
    parts = [
        (1, 2), (2, 1), (12,), ("1", "2"), (1, "2"), (1, 2, "noise"), (1, 2, "timestep"),
        (1, 2, ""), ("1\x1fint:2",),
    ]
    seeds = [derive_seed(*part) for part in parts]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_no_two_draws_of_a_run_collide() -> None:
    purposes = ("noise", "timestep", "probe", "adapter", "preview")
    grid = list(product(range(3), range(20), range(4), purposes))
    assert len({derive_seed(*part) for part in grid}) == len(grid)


def test_global_state_plays_no_part() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = torch.randn(5, generator=generator(3, "noise"))
    torch.manual_seed(2)
    assert torch.equal(first, torch.randn(5, generator=generator(3, "noise")))
    torch.random.set_rng_state(before)
    permutation(10, 1)
    generator(1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_permutation_has_every_number_once() -> None:
    assert sorted(permutation(50, 1, 2)) == list(range(50))
    assert permutation(50, 1, 2) != permutation(50, 1, 3)
    assert permutation(0, 1) == []
