"""Samples cells of a sweep with the stock machinery, many at a time or one alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeAlias

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.sd
import torch

from ..core.attach import Attachment
from ..lora_format.family import Family
from ..sweep.beside import CellLora, attach_loras
from ..sweep.block_mask import read_mask
from ..sweep.cell_settings import CellSettings
from ..sweep.cells import Cell
from . import cell_cfg
from .block_patches import patch_blocks
from .cell_noise import BATCHABLE_SAMPLERS, attach_cell_noise
from .cell_texts import PromptBook, TextKey
from .lora_shelf import LoraShelf
from .model import family_of

OnStep = Callable[[int], None]
Patcher: TypeAlias = comfy.model_patcher.ModelPatcher

MOST_IN_BATCH = 32
MEMORY_MARGIN = 1.5
"""Activations of the LoRAs come on top of the host's own estimate of a sampling step."""


class CellSampler:
    """Draws latents of cells.

    Args:
        model: the MODEL without a LoRA.
        clip: its text encoders.
        shelf: the LoRAs under test, by the names that cells give.
    """

    def __init__(self, model: Patcher, clip: comfy.sd.CLIP, shelf: LoraShelf) -> None:
        self.model, self.clip, self.shelf = model, clip, shelf
        self._texts = PromptBook(self._clip_for)
        self._last_model: tuple[Hashable, Patcher] | None = None
        self._last_clip: tuple[TextKey, comfy.sd.CLIP] | None = None

    def settled(self, settings: CellSettings) -> CellSettings:
        """The same for all settings that give one picture with these LoRAs."""
        if settings.has_lora and not self.shelf.facts(settings.lora).touches_text:
            settings = replace(settings, clip_strength=None)
        if settings.blocks and read_mask(settings.blocks).is_everywhere:
            settings = replace(settings, blocks="")
        return settings.canonical()

    @property
    def always_reads_negative(self) -> bool:
        """Whether another node asks for the negative prompt at CFG 1, too."""
        return bool(self.model.model_options.get("disable_cfg1_optimization", False))

    def check_blocks(self, settings: CellSettings) -> None:
        """Refuse blocks that the model does not have.

        Raises:
            ConfigError: naming those that it has.
            HostError: its blocks have no names.
        """
        if settings.blocks:
            network = self.model.model.diffusion_model
            read_mask(settings.blocks).check(
                dict.fromkeys(self._block_of(path) for path, _ in network.named_modules())
            )

    def encode(self, settings: CellSettings) -> None:
        """Encode a cell's texts, if they were not; whatever goes wrong is raised."""
        for text in (settings.prompt, settings.negative):
            self._texts.shape(self._text_key(text, settings))

    def text_order(self, settings: CellSettings) -> tuple[str, float]:
        """Cells encoded in this order need the text encoders patched once per LoRA and strength."""
        key = self._text_key("", settings)
        return key.lora, key.strength

    def why_alone(self, settings: CellSettings) -> str:
        """Why cells like this one are sampled one by one; empty when they need not be."""
        if settings.sampler not in BATCHABLE_SAMPLERS:
            return f"the sampler {settings.sampler} is not known to keep cells apart"
        if getattr(self.clip.patcher, "forced_hooks", None) or getattr(
            self.clip, "apply_hooks_to_conds", None
        ):
            return "the CLIP carries hooks"
        return cell_cfg.obstacle_to_batching(self.model)

    def why_patched(self, settings: CellSettings) -> str:
        """Why its LoRA is patched into the weights; empty when it can stand beside them."""
        return self.shelf.facts(settings.lora).obstacle if settings.has_lora else ""

    def alike(self, settings: CellSettings, way: str) -> Hashable:
        """Equal for cells that can share a batch when drawn in this way."""
        patched = self._patch_key(settings) if way == "patched" else None
        return (
            patched, settings.steps, settings.sampler, settings.scheduler, settings.width_px,
            settings.height_px,
            # At scale 1 the host leaves the negative prompt out, which is half of the work.
            settings.cfg == 1.0,
            self._texts.shape(self._text_key(settings.prompt, settings)),
            self._texts.shape(self._text_key(settings.negative, settings)),
        )  # fmt: skip

    def batch_limit(self, settings: CellSettings) -> int:
        """How many cells of this size to try at once; running out of memory halves it later."""
        budget = _memory_budget(self.model)
        one = self._empty_latent(settings).shape
        # Positive and negative prompt go through together.
        passes = 1 if settings.cfg == 1.0 else 2
        for count in range(MOST_IN_BATCH, 1, -1):
            needed = self.model.memory_required([passes * count, *one[1:]])
            if needed * MEMORY_MARGIN + self._factor_bytes(count) < budget:
                return count
        return 1

    def draw_beside(self, cells: Sequence[Cell], on_step: OnStep) -> torch.Tensor:
        """Cells of one batch, LoRAs beside the weights; (N, C, h, w) in the VAE's scale."""
        model = self.model.clone()
        # Loaded before anything is attached: the host takes off what another clone had put on.
        comfy.model_management.load_models_gpu([model])
        names = list(dict.fromkeys(c.settings.lora for c in cells if c.settings.strength != 0))
        with Attachment() as attachment:
            modules = dict(model.model.diffusion_model.named_modules())
            factors = [self.shelf.loaded(name).factors for name in names]
            each = [self._cell_lora(cell.settings, names) for cell in cells]
            attach_loras(attachment, modules, factors, each)
            return self._sample(model, cells, attachment, on_step)

    def draw_patched(self, cells: Sequence[Cell], on_step: OnStep) -> torch.Tensor:
        """Cells of one LoRA and strength, patched in by the stock code."""
        model = self._patched_model(cells[0].settings)
        with Attachment() as attachment:
            return self._sample(model.clone(), cells, attachment, on_step)

    def _factor_bytes(self, cells: int) -> int:
        """Of as many LoRAs as a batch may hold."""
        sizes = sorted(self.shelf.facts(name).size_bytes for name in self.shelf.usable())
        return sum(sizes[-cells:])

    def _cell_lora(self, settings: CellSettings, names: Sequence[str]) -> CellLora:
        if settings.strength == 0:
            return CellLora(None)
        part = None
        if settings.blocks:
            mask = read_mask(settings.blocks)

            def part(path: str) -> float:
                return mask.factor(self._block_of(path))

        return CellLora(names.index(settings.lora), settings.strength, part)

    @cached_property
    def _family(self) -> Family:
        return family_of(self.model)

    def _block_of(self, path: str) -> str:
        return self._family.training.block_of(path)

    def _patch_key(self, settings: CellSettings) -> Hashable:
        if settings.strength == 0:
            return None
        return settings.lora, settings.strength, settings.blocks

    def _patched_model(self, settings: CellSettings) -> Patcher:
        """The MODEL as the stock Load LoRA node hands it out, its shortcut at 0 included.

        Cells come ordered by LoRA and strength, so the last one is all that needs to be kept.
        """
        key = self._patch_key(settings)
        if key is None:
            return self.model
        if self._last_model is None or self._last_model[0] != key:
            tensors = dict(self.shelf.loaded(settings.lora).tensors)
            if settings.blocks:
                mask = read_mask(settings.blocks)
                patched = patch_blocks(
                    self.model, tensors, settings.strength,
                    lambda path: mask.factor(self._block_of(path)),
                )
            else:
                patched, _ = comfy.sd.load_lora_for_models(
                    self.model, None, tensors, settings.strength, 0
                )
            self._last_model = (key, patched)
        return self._last_model[1]

    def _clip_for(self, key: TextKey) -> comfy.sd.CLIP:
        """The CLIP as the stock Load LoRA node hands it out."""
        if not key.lora:
            return self.clip
        own = key._replace(prompt="")
        if self._last_clip is None or self._last_clip[0] != own:
            tensors = dict(self.shelf.loaded(key.lora).tensors)
            _, clip = comfy.sd.load_lora_for_models(None, self.clip, tensors, 0, key.strength)
            self._last_clip = (own, clip)
        return self._last_clip[1]

    def _text_key(self, prompt: str, settings: CellSettings) -> TextKey:
        strength = settings.text_strength
        if strength == 0 or not self.shelf.facts(settings.lora).touches_text:
            return TextKey(prompt)
        return TextKey(prompt, settings.lora, strength)

    def _sample(
        self, model: Patcher, cells: Sequence[Cell], attachment: Attachment, on_step: OnStep
    ) -> torch.Tensor:
        settings = cells[0].settings
        seeds = [cell.settings.seed for cell in cells]
        if len(cells) > 1:
            attach_cell_noise(attachment, seeds)
        cfg = cell_cfg.install(model, [cell.settings.cfg for cell in cells])
        empty = self._empty_latent(settings)
        noise = torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds])
        positive = [self._text_key(c.settings.prompt, c.settings) for c in cells]
        negative = [self._text_key(c.settings.negative, c.settings) for c in cells]
        latents: torch.Tensor = comfy.sample.sample(
            model,
            noise,
            settings.steps,
            cfg,
            settings.sampler,
            settings.scheduler,
            self._texts.stacked(positive),
            self._texts.stacked(negative),
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
