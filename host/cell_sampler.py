"""Samples cells of a sweep with the stock machinery, many at a time or one alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.sd
import torch

from ..core.attach import Attachment
from ..sweep.beside import WeightedLora, attach_loras
from ..sweep.cell_settings import CellSettings
from ..sweep.cells import Cell
from . import cell_cfg
from .cell_noise import BATCHABLE_SAMPLERS, attach_cell_noise
from .lora_factors import LoadedLora
from .text import encode_prompt

OnStep = Callable[[int], None]
Patched = tuple[comfy.model_patcher.ModelPatcher, comfy.sd.CLIP]

MOST_IN_BATCH = 32
MEMORY_MARGIN = 1.5
"""Factors and weights per cell come on top of the host's own estimate of a sampling step."""


@dataclass
class CellSampler:
    """Draws latents of cells.

    Attributes:
        model: the MODEL without the LoRA.
        clip: its text encoders.
        lora: the LoRA under test.
    """

    model: comfy.model_patcher.ModelPatcher
    clip: comfy.sd.CLIP
    lora: LoadedLora
    _texts: dict[tuple[str, float], Any] = field(default_factory=dict)
    _last_patched: tuple[float, Patched] | None = None

    def why_alone(self, settings: CellSettings) -> str:
        """Why cells like this one are sampled one by one; empty when they need not be."""
        if settings.sampler not in BATCHABLE_SAMPLERS:
            return f"the sampler {settings.sampler} is not known to keep cells apart"
        if getattr(self.clip.patcher, "forced_hooks", None) or getattr(
            self.clip, "apply_hooks_to_conds", None
        ):
            return "the CLIP carries hooks"
        return cell_cfg.obstacle_to_batching(self.model)

    def why_patched(self) -> str:
        """Why the LoRA is patched into the weights; empty when it can stand beside them."""
        return self.lora.obstacle

    def shares_strength(self) -> bool:
        """Whether cells of different strength can share a batch."""
        return not self.lora.obstacle and not self.lora.touches_text

    def batch_limit(self, settings: CellSettings) -> int:
        """How many cells of this size to try at once; running out of memory halves it later."""
        budget = _memory_budget(self.model)
        one = self._empty_latent(settings).shape
        for count in range(MOST_IN_BATCH, 1, -1):
            # Positive and negative prompt go through together.
            if self.model.memory_required([2 * count, *one[1:]]) * MEMORY_MARGIN < budget:
                return count
        return 1

    def draw_beside(self, cells: Sequence[Cell], on_step: OnStep) -> torch.Tensor:
        """Cells of one batch, LoRA beside the weights; (N, C, h, w) in the VAE's scale."""
        model = self.model.clone()
        # Loaded before anything is attached: the host takes off what another clone had put on.
        comfy.model_management.load_models_gpu([model])
        strengths = torch.tensor([cell.settings.strength for cell in cells])
        with Attachment() as attachment:
            modules = dict(model.model.diffusion_model.named_modules())
            lora = WeightedLora(self.lora.factors, strengths)
            attach_loras(attachment, modules, [lora])
            return self._sample(model, cells, attachment, on_step)

    def draw_patched(self, cells: Sequence[Cell], on_step: OnStep) -> torch.Tensor:
        """Cells of one strength, the LoRA patched in by the stock code."""
        model, _ = self._patched(cells[0].settings.strength)
        with Attachment() as attachment:
            return self._sample(model.clone(), cells, attachment, on_step)

    def _patched(self, strength: float) -> Patched:
        """MODEL and CLIP as the stock Load LoRA node hands them out, its shortcut at 0 included.

        Cells come ordered by strength, so the last one is all that needs to be kept.
        """
        if strength == 0:
            return self.model, self.clip
        if self._last_patched is None or self._last_patched[0] != strength:
            patched = comfy.sd.load_lora_for_models(
                self.model, self.clip, dict(self.lora.tensors), strength, strength
            )
            self._last_patched = (strength, patched)
        return self._last_patched[1]

    def _sample(
        self,
        model: comfy.model_patcher.ModelPatcher,
        cells: Sequence[Cell],
        attachment: Attachment,
        on_step: OnStep,
    ) -> torch.Tensor:
        settings = cells[0].settings
        seeds = [cell.settings.seed for cell in cells]
        if len(cells) > 1:
            attach_cell_noise(attachment, seeds)
        cfg = cell_cfg.install(model, [cell.settings.cfg for cell in cells])
        empty = self._empty_latent(settings)
        noise = torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds])
        latents: torch.Tensor = comfy.sample.sample(
            model,
            noise,
            settings.steps,
            cfg,
            settings.sampler,
            settings.scheduler,
            self._text(settings.prompt, settings.strength),
            self._text(settings.negative, settings.strength),
            empty.repeat(len(cells), *(1,) * (empty.ndim - 1)),
            callback=lambda step, *_: on_step(step),
            disable_pbar=True,
            seed=seeds[0],
        )
        return latents.float().cpu()

    def _empty_latent(self, settings: CellSettings) -> torch.Tensor:
        """(1, C, h, w) of zeros, as the stock Empty Latent Image node and sampler agree on."""
        latent_format = self.model.get_model_object("latent_format")
        scale = getattr(latent_format, "spacial_downscale_ratio", 8)
        shape = (settings.height_px // scale, settings.width_px // scale)
        empty = torch.zeros(1, latent_format.latent_channels, *shape)
        fixed: torch.Tensor = comfy.sample.fix_empty_latent_channels(self.model, empty)
        return fixed

    def _text(self, prompt: str, strength: float) -> Any:
        """CONDITIONING, encoded once per prompt and text-encoder strength."""
        own = strength if self.lora.touches_text else 0.0
        key = (prompt, own)
        if key not in self._texts:
            self._texts[key] = encode_prompt(self._patched(own)[1], prompt)
        return self._texts[key]


def _memory_budget(model: comfy.model_patcher.ModelPatcher) -> float:
    """Bytes that a batch may take, after the rest of the model's own weights.

    On a card the host makes room: it evicts other models and streams weights, so half of the
    card is always worth trying. Where memory is shared with the system, too much would swap.
    """
    device = model.load_device
    missing = max(0, model.model_size() - model.loaded_size())
    free = comfy.model_management.get_free_memory(device) - missing
    if device.type in ("cpu", "mps"):
        return free
    return max(free, comfy.model_management.get_total_memory(device) / 2)
