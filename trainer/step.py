"""One update: microbatches forward and backward, and what they need on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..core.protocols import Cond, Denoiser
from ..dataset.prepare import TrainingItem
from .batches import Sample
from .draws import draw_chance
from .recipe import Recipe
from .timesteps import even_draws


@dataclass
class StepRunner:
    """Computes losses of samples.

    Attributes:
        denoiser: the frozen model, adapter attached.
        recipe: what is minimised.
        items: the prepared pictures.
        conds: conditioning per picture, made once.
        empty_conds: the same for the empty caption; needed for caption dropout only.
        caption_dropout: how often a picture is shown without its caption, 0..1.
        seed: the run's seed.
        microbatch_limit: samples per forward; halved when memory runs out.
    """

    denoiser: Denoiser
    recipe: Recipe
    items: Sequence[TrainingItem]
    conds: Sequence[Cond]
    seed: int
    microbatch_limit: int
    empty_conds: Sequence[Cond] = ()
    caption_dropout: float = 0.0

    def losses(self, samples: Sequence[Sample], step: int, total: int) -> torch.Tensor:
        """Per-sample loss of samples of one picture size; (B,), differentiable.

        Args:
            samples: of one microbatch.
            step: number of the step, from 0.
            total: samples of the whole step.
        """
        slots = [sample.slot for sample in samples]
        shape = self.items[samples[0].item].latent.shape
        noise = self.recipe.noise.noise(self.seed, step, slots, shape)
        shown = self.recipe.noise.input_noise(noise, self.seed, step, slots)
        even = even_draws(
            self.seed, step, slots, total, stratified=self.recipe.stratified
        )
        sigma = self.recipe.law.sigma(self.recipe.times(even, shape))
        conds = [self._cond(sample, step) for sample in samples]
        return self.losses_at(samples, conds, noise, shown, sigma)

    def losses_at(
        self,
        samples: Sequence[Sample],
        conds: Sequence[Cond],
        noise: torch.Tensor,
        shown: torch.Tensor,
        sigma: torch.Tensor,
    ) -> torch.Tensor:
        """Per-sample loss for given noise and noise levels; (B,).

        Args:
            samples: which pictures.
            conds: what they are conditioned on.
            noise: (B, C, H, W), what the network is asked for.
            shown: the same, or what it is shown instead.
            sigma: (B,) float64 on the CPU.
        """
        device, law = self.denoiser.device, self.recipe.law
        items = [self.items[sample.item] for sample in samples]
        latents = torch.stack([item.latent for item in items]).to(device)
        noise, shown, levels = noise.to(device), shown.to(device), sigma.float().to(device)
        noisy = law.noisy(levels, shown, latents)
        denoised = self.denoiser.predict(noisy, levels, conds)
        error = self.recipe.objective.error(
            latents, noise, noisy, denoised, levels, law.sigma_data
        )
        loss = self.recipe.losses(error, sigma, None)
        weights = [item.weight for item in items]
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
                losses = self.losses(part, step, total)
                (losses.sum() * (scale / total)).backward()
                loss_sum += float(losses.detach().sum())
        return loss_sum / total

    def _cond(self, sample: Sample, step: int) -> Cond:
        """The picture's own conditioning, or that of the empty caption now and then."""
        if self.caption_dropout > 0:
            drawn = draw_chance(self.seed, step, sample.slot, "caption dropout")
            if drawn < self.caption_dropout:
                return self.empty_conds[sample.item]
        return self.conds[sample.item]
