"""The settings of a training run: the one source of node inputs, help texts and run.json."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import ConfigError
from ..core.settings import setting, validate
from ..dataset.token_layout import CHUNKS, STOCK

SCHEDULES = ("constant", "cosine", "linear")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
CHECKPOINTING = ("auto", "on", "off")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything a person may set about a run. The first five need an answer."""

    run_name: str = setting(
        "my_lora",
        doc="A label for this training. The LoRA appears as kiln/<label>-001 in the LoRA loader; "
        "a changed setting or picture makes -002, and so on.",
        identity=False,
    )
    steps: int = setting(
        1000,
        doc="How many times the LoRA is updated. Style: about 1500 to 3000; character: about "
        "100 per picture. You can stop at any time and keep what was learned.",
        minimum=1,
        maximum=1_000_000,
    )
    learning_rate: float = setting(
        1e-4,
        doc="How far each update goes. 1e-4 suits SDXL at rank 16; too high burns the picture, "
        "too low learns nothing.",
        minimum=1e-8,
        maximum=1.0,
        step=1e-6,
    )
    rank: int = setting(
        16,
        doc="Size of the LoRA. 8 to 16 for a character, 16 to 32 for a style; the file grows "
        "with it.",
        minimum=1,
        maximum=1024,
    )
    resolution: int = setting(
        1024,
        doc="Pictures are resized to about this many pixels squared, each in its own aspect "
        "ratio, never cropped to a square and never enlarged. 1024 is what SDXL was made for.",
        minimum=128,
        maximum=4096,
        step=64,
    )
    seed: int = setting(
        0,
        doc="The same seed, settings and pictures give the same LoRA on the same device.",
        minimum=0,
        maximum=2**63 - 1,
    )
    alpha: float = setting(
        0.0,
        doc="The LoRA is scaled by alpha / rank. 0 means alpha = rank, a scale of 1.",
        minimum=0.0,
        maximum=4096.0,
        step=0.5,
        advanced=True,
    )
    batch_size: int = setting(
        1,
        doc="Pictures of one shape that go through the model together. More is steadier and "
        "needs more memory.",
        minimum=1,
        maximum=256,
        advanced=True,
    )
    accumulate: int = setting(
        1,
        doc="Batches that are added up for one update: a larger effective batch without the "
        "memory.",
        minimum=1,
        maximum=256,
        advanced=True,
    )
    schedule: str = setting(
        "constant",
        doc="How the learning rate moves over the run after warming up.",
        choices=SCHEDULES,
        advanced=True,
    )
    warmup_steps: int = setting(
        0,
        doc="Updates over which the learning rate rises from zero.",
        minimum=0,
        maximum=100_000,
        advanced=True,
    )
    max_grad_norm: float = setting(
        1.0,
        doc="Longer gradients are shortened to this length. 0 switches it off.",
        minimum=0.0,
        maximum=1000.0,
        step=0.1,
        advanced=True,
    )
    weight_decay: float = setting(
        0.01,
        doc="AdamW's pull towards zero.",
        minimum=0.0,
        maximum=1.0,
        step=0.001,
        advanced=True,
    )
    precision: str = setting(
        "auto",
        doc="Number format of the frozen model's arithmetic. auto: bf16 where the device has it, "
        "else fp16 with loss scaling; fp32 on a CPU. The LoRA itself is always fp32.",
        choices=PRECISIONS,
        advanced=True,
        # The settled precision decides, and it is an ingredient of its own.
        identity=False,
    )
    checkpoint_activations: str = setting(
        "auto",
        doc="Recompute each block in the backward pass and store less: about 30 % slower, much "
        "less memory, the same LoRA. auto: only where memory would not suffice otherwise.",
        choices=CHECKPOINTING,
        advanced=True,
        identity=False,
    )
    checkpoint_every: int = setting(
        250,
        doc="Steps between checkpoints. Each is at once usable in the LoRA loader, and the run "
        "can go on from it. 0 keeps only the end.",
        minimum=0,
        maximum=1_000_000,
        advanced=True,
        identity=False,
    )
    preview_every: int = setting(
        250,
        doc="Steps between preview pictures, from fixed seeds. 0 switches them off.",
        minimum=0,
        maximum=1_000_000,
        advanced=True,
        identity=False,
    )
    preview_prompts: str = setting(
        "",
        doc="One prompt per line. Empty: the first caption, and a subject that is in no caption.",
        advanced=True,
        multiline=True,
        identity=False,
    )
    preview_steps: int = setting(
        0,
        doc="Sampling steps of each preview picture. 0: what suits the model.",
        minimum=0,
        maximum=1000,
        advanced=True,
        identity=False,
    )
    preview_cfg: float = setting(
        0.0,
        doc="CFG of the preview pictures. 0: what suits the model.",
        minimum=0.0,
        maximum=100.0,
        step=0.5,
        advanced=True,
        identity=False,
    )
    caption_dropout: float = setting(
        0.0,
        doc="How often a picture is shown without its caption, from 0 to 1. 0.05 to 0.1 helps a "
        "style to show without its trigger word, and CFG to work.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
        advanced=True,
    )
    mirror: bool = setting(
        False,
        doc="Show every picture mirrored half of the time. For objects and styles; not for faces, "
        "lettering, or anything that is not the same in a mirror.",
        advanced=True,
    )
    caption_chunks: str = setting(
        STOCK,
        doc="Where captions of more than 75 tokens are cut for SDXL and SD 1.5. stock: as the "
        "stock prompt node does it, also in the middle of a tag. whole tags: between tags; then "
        "write prompts with Encode Prompt set to whole tags, because the stock node gives a "
        "different result for long ones. No difference for Z-Image.",
        choices=CHUNKS,
        advanced=True,
        # What it comes to is in the identity of the text encoder, and so in the pictures'.
        identity=False,
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.warmup_steps >= self.steps and self.warmup_steps > 0:
            raise ConfigError(
                f"warmup_steps is {self.warmup_steps} and steps is {self.steps}",
                expected="fewer steps of warm-up than steps in all",
                remedy="Lower warmup_steps or raise steps",
            )

    @property
    def effective_alpha(self) -> float:
        """Alpha with the default filled in."""
        return self.alpha if self.alpha > 0 else float(self.rank)
