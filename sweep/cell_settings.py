"""Everything that decides one picture of a sweep."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """Everything that decides one picture, besides the model.

    Attributes:
        lora: the LoRA's name as the stock loader lists it; empty where the sweep has only one.
        strength: of the LoRA on the model.
        clip_strength: of the LoRA on the text encoders; None: the same.
        blocks: in which blocks the LoRA is applied, as ``sweep/block_mask`` reads it; empty: all.
        cfg: classifier-free guidance scale.
        seed: of the noise.
        steps: sampling steps.
        sampler: ComfyUI's sampler name.
        scheduler: ComfyUI's scheduler name.
        prompt: positive prompt.
        negative: negative prompt.
        width_px: multiple of 8.
        height_px: multiple of 8.
    """

    lora: str = ""
    strength: float = 1.0
    clip_strength: float | None = None
    blocks: str = ""
    cfg: float = 5.0
    seed: int = 0
    steps: int = 20
    sampler: str = "euler"
    scheduler: str = "normal"
    prompt: str = ""
    negative: str = ""
    width_px: int = 1024
    height_px: int = 1024

    @property
    def text_strength(self) -> float:
        """Strength of the LoRA on the text encoders."""
        return self.strength if self.clip_strength is None else self.clip_strength

    @property
    def has_lora(self) -> bool:
        """Whether a LoRA has any part in it."""
        return self.strength != 0 or self.text_strength != 0

    def without_lora(self) -> CellSettings:
        """The picture of the model alone: what the LoRA did is seen beside it."""
        return replace(self, lora="", strength=0.0, clip_strength=None, blocks="")

    def canonical(self) -> CellSettings:
        """The same for settings that must give the same picture, so that it is drawn once."""
        if not self.has_lora:
            return self.without_lora()
        if self.clip_strength == self.strength:
            return replace(self, clip_strength=None)
        return self
