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
from .views import View


@dataclass
class StepRunner:
    """Computes losses of samples.

    Attributes:
        denoiser: the frozen model, adapter attached.
        recipe: what is minimised.
        views: what is seen of each picture; of several, one is drawn every time.
        seed: the run's seed.
        microbatch_limit: samples per forward; halved when memory runs out.
        caption_dropout: how often a picture is shown without its caption, 0..1.
    """

    denoiser: Denoiser
    recipe: Recipe
    views: Sequence[Sequence[View]]
    seed: int
    microbatch_limit: int
    caption_dropout: float = 0.0

    def losses(self, samples: Sequence[Sample], step: int, total: int) -> torch.Tensor:
        """Per-sample loss of samples of one picture size; (B,), differentiable.

        Args:
            samples: of one microbatch.
            step: number of the step, from 0.
            total: samples of the whole step.
        """
        views = [self._view(sample, step) for sample in samples]
        conds = [
            self._cond(view, sample, step) for view, sample in zip(views, samples, strict=True)
        ]
        slots, shape = [sample.slot for sample in samples], views[0].item.latent.shape
        noise = self.recipe.noise.noise(self.seed, step, slots, shape)
        shown = self.recipe.noise.input_noise(noise, self.seed, step, slots)
        even = even_draws(self.seed, step, slots, total, stratified=self.recipe.stratified)
        sigma = self.recipe.law.sigma(self.recipe.times(even, shape))
        return self.losses_at(views, conds, noise, shown, sigma)

    def losses_at(
        self,
        views: Sequence[View],
        conds: Sequence[Cond],
        noise: torch.Tensor,
        shown: torch.Tensor,
        sigma: torch.Tensor,
    ) -> torch.Tensor:
        """Per-sample loss for given noise and noise levels; (B,).

        Args:
            views: which pictures.
            conds: what they are conditioned on.
            noise: (B, C, H, W), what the network is asked for.
            shown: the same, or what it is shown instead.
            sigma: (B,) float64 on the CPU.
        """
        device, law = self.denoiser.device, self.recipe.law
        items = [view.item for view in views]
        latents = torch.stack([item.latent for item in items]).to(device)
        noise, shown, levels = noise.to(device), shown.to(device), sigma.float().to(device)
        noisy = law.noisy(levels, shown, latents)
        denoised = self.denoiser.predict(noisy, levels, conds)
        error = self.recipe.objective.error(
            latents, noise, noisy, denoised, levels, law.sigma_data
        )
        loss = self.recipe.losses(error, sigma, _masks(items, device))
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

    def _view(self, sample: Sample, step: int) -> View:
        """The picture, or by an even chance its mirror image."""
        views = self.views[sample.item]
        if len(views) == 1:
            return views[0]
        return views[int(draw_chance(self.seed, step, sample.slot, "mirror") * len(views))]

    def _cond(self, view: View, sample: Sample, step: int) -> Cond:
        """The picture's own conditioning, or that of the empty caption now and then."""
        if self.caption_dropout == 0 or view.empty_cond is None:
            return view.cond
        drawn = draw_chance(self.seed, step, sample.slot, "caption dropout")
        return view.empty_cond if drawn < self.caption_dropout else view.cond


def _masks(items: Sequence[TrainingItem], device: torch.device) -> torch.Tensor | None:
    """(B, 1, h, w), ones for pictures without a mask; None where no picture has one."""
    if all(item.mask is None for item in items):
        return None
    masks = [
        torch.ones_like(item.latent[:1]) if item.mask is None else item.mask for item in items
    ]
    return torch.stack(masks).to(device)
