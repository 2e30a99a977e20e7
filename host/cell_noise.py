"""Noise that a sampler draws on its way, for each cell what it would have drawn alone.

Ancestral and SDE samplers draw noise for their whole batch from one seed, so a cell's noise
would depend on its neighbours. While cells are sampled, the two makers of noise that all stock
samplers use are replaced by ones that ask the originals once per seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import comfy.k_diffusion.sampling as sampling
import torch

from ..core.attach import Attachment

Noise = Callable[..., torch.Tensor]

# Shown by the tests to equal the stock sampler cell by cell, in one batch with mixed CFG. Any
# other sampler, one of a later ComfyUI or of another pack, draws its cells one at a time.
DETERMINISTIC_SAMPLERS = frozenset(
    {
        "euler", "euler_cfg_pp", "heun", "heunpp2", "exp_heun_2_x0", "dpm_2", "lms", "dpm_fast",
        "dpmpp_2m", "dpmpp_2m_cfg_pp", "ddim", "uni_pc", "uni_pc_bh2", "ipndm", "ipndm_v", "deis",
        "res_multistep", "res_multistep_cfg_pp", "gradient_estimation",
        "gradient_estimation_cfg_pp",
    }
)
NOISY_SAMPLERS = frozenset(
    {
        "euler_ancestral", "euler_ancestral_cfg_pp", "dpm_2_ancestral", "dpmpp_2s_ancestral",
        "dpmpp_2s_ancestral_cfg_pp", "exp_heun_2_x0_sde", "dpmpp_sde", "dpmpp_sde_gpu",
        "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu",
        "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "res_multistep_ancestral",
        "res_multistep_ancestral_cfg_pp", "er_sde", "seeds_2", "seeds_3", "sa_solver",
        "sa_solver_pece",
    }
)
BATCHABLE_SAMPLERS = DETERMINISTIC_SAMPLERS | NOISY_SAMPLERS


def attach_cell_noise(attachment: Attachment, seeds: Sequence[int]) -> None:
    """Give every cell of the next batch its own noise.

    Args:
        attachment: puts the stock makers back.
        seeds: one per cell; the sampler is called with the first.
    """
    plain, brownian = sampling.default_noise_sampler, sampling.BrownianTreeNoiseSampler

    def own_seed(cell_seed: int, asked: int) -> int:
        # Some samplers ask for a second stream, at an offset from the seed they were given.
        return cell_seed + (asked - seeds[0])

    def plain_per_cell(x: torch.Tensor, seed: int | None = None, **kwargs: Any) -> Noise:
        if seed is None or x.shape[0] != len(seeds):
            return plain(x, seed=seed, **kwargs)
        makers = {s: plain(x[:1], seed=own_seed(s, seed), **kwargs) for s in set(seeds)}
        return _in_order(makers, seeds)

    def brownian_per_cell(
        x: torch.Tensor, sigma_min: Any, sigma_max: Any, seed: int | None = None, **kwargs: Any
    ) -> Noise:
        if seed is None or x.shape[0] != len(seeds):
            return brownian(x, sigma_min, sigma_max, seed=seed, **kwargs)
        makers = {
            s: brownian(x[:1], sigma_min, sigma_max, seed=own_seed(s, seed), **kwargs)
            for s in set(seeds)
        }
        return _in_order(makers, seeds)

    attachment.set_attribute(sampling, "default_noise_sampler", plain_per_cell)
    attachment.set_attribute(sampling, "BrownianTreeNoiseSampler", brownian_per_cell)


def _in_order(makers: dict[int, Noise], seeds: Sequence[int]) -> Noise:
    """One draw per distinct seed, handed to every cell that has it."""

    def draw(*args: Any, **kwargs: Any) -> torch.Tensor:
        drawn = {seed: maker(*args, **kwargs) for seed, maker in makers.items()}
        return torch.cat([drawn[seed] for seed in seeds])

    return draw
