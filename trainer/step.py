"""One update: microbatches forward and backward, and what they need on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..core.protocols import Cond, Denoiser
from ..dataset.prepare import TrainingItem
from .batches import Sample
from .draws import draw_noise, draw_timesteps
from .objective import Objective


@dataclass
class StepRunner:
    """Computes losses of samples.

    Attributes:
        denoiser: the frozen model, adapter attached.
        objective: what is minimised.
        items: the prepared pictures.
        conds: conditioning per picture, made once.
        seed: the run's seed.
        microbatch_limit: samples per forward; halved when memory runs out.
    """

    denoiser: Denoiser
    objective: Objective
    items: Sequence[TrainingItem]
    conds: Sequence[Cond]
    seed: int
    microbatch_limit: int

    def losses(self, samples: Sequence[Sample], step: int) -> torch.Tensor:
        """Per-sample loss of samples of one picture size; (B,), differentiable."""
        slots = [sample.slot for sample in samples]
        device = self.denoiser.device
        latents = torch.stack([self.items[sample.item].latent for sample in samples])
        noise = draw_noise(self.seed, step, slots, latents.shape[1:])
        law = self.denoiser.sampling
        timesteps = draw_timesteps(self.seed, step, slots, law.timestep_count)
        sigma = law.sigma(timesteps.to(device))
        return self.losses_at(samples, latents.to(device), noise.to(device), sigma)

    def losses_at(
        self,
        samples: Sequence[Sample],
        latents: torch.Tensor,
        noise: torch.Tensor,
        sigma: torch.Tensor,
    ) -> torch.Tensor:
        """Per-sample loss for given noise and noise levels; (B,)."""
        noisy = self.denoiser.sampling.noisy(sigma, noise, latents)
        conds = [self.conds[sample.item] for sample in samples]
        denoised = self.denoiser.predict(noisy, sigma, conds)
        weights = [self.items[sample.item].weight for sample in samples]
        loss = self.objective.loss(latents, denoised, sigma)
        return loss * torch.tensor(weights, dtype=loss.dtype, device=loss.device)

    def backward(
        self, batches: Sequence[Sequence[Sample]], step: int, scale: float,
        between: Callable[[], None],
    ) -> float:
        """Add the gradients of a whole step; returns its mean loss.

        Args:
            batches: microbatches as planned; a long one is split to the current limit.
            step: number of the step, from 0.
            scale: loss scale.
            between: called before every microbatch; may raise the host's interrupt.
        """
        total = sum(len(batch) for batch in batches)
        loss_sum = 0.0
        for batch in batches:
            for start in range(0, len(batch), self.microbatch_limit):
                between()
                part = batch[start : start + self.microbatch_limit]
                losses = self.losses(part, step)
                (losses.sum() * (scale / total)).backward()
                loss_sum += float(losses.detach().sum())
        return loss_sum / total
