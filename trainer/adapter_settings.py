"""Settings of the adapter: which modules are trained, and how much of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.errors import ConfigError
from ..core.settings import setting, validate
from .block_rules import BlockRule, read_rules

AUTO = "auto"
TARGETS = (AUTO, "attention", "attention_ff", "linear", "conv", "refiners", "all")
PURPOSES = ("any", "style", "character", "concept")


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """Which modules a LoRA trains. Left alone, what experts choose for the family."""

    purpose: str = setting(
        "any",
        doc="What the LoRA is for. It decides what targets: auto takes: for an SDXL style, for "
        "example, the convolutions too.",
        choices=PURPOSES,
    )
    targets: str = setting(
        AUTO,
        doc="attention: least, for a face or an object. attention_ff: with the feed-forward "
        "layers. linear: every linear layer of the blocks. conv (SDXL, SD 1.5): with the "
        "convolutions, for styles. refiners and all (Z-Image, Lumina 2): with the refiners. auto: "
        "linear for SDXL, attention_ff for Z-Image.",
        choices=TARGETS,
    )
    block_weights: str = setting(
        "",
        doc="One rule per line: blocks, a colon, and what is different there. Blocks are named "
        "in0 to in8, mid, out0 to out8 (SDXL); layer0 to layer29, noise_refiner0, "
        "context_refiner0 (Z-Image); double0, single0 (Flux). Example: 'in0-in3: off' or 'mid, "
        "out0-out2: rank=32 lr=0.5'. lr multiplies the learning rate; alpha follows the rank "
        "unless it is named. Later rules win.",
        multiline=True,
    )
    include: str = setting(
        "",
        doc="Only modules whose path matches one of these regular expressions, one per line. "
        "Empty: all that targets names.",
        multiline=True,
        advanced=True,
    )
    exclude: str = setting(
        "",
        doc="No modules whose path matches one of these regular expressions, one per line.",
        multiline=True,
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)
        self.rules()
        self.patterns("include")
        self.patterns("exclude")

    def rules(self) -> tuple[BlockRule, ...]:
        """The block weights, read.

        Raises:
            ConfigError: a line that cannot be read.
        """
        return read_rules(self.block_weights)

    def patterns(self, name: str) -> list[re.Pattern[str]]:
        """The regular expressions of ``include`` or ``exclude``.

        Raises:
            ConfigError: one that is none.
        """
        lines = [line.strip() for line in str(getattr(self, name)).splitlines()]
        return [_compiled(name, line) for line in lines if line]


def _compiled(name: str, line: str) -> re.Pattern[str]:
    try:
        return re.compile(line)
    except re.error as error:
        raise ConfigError(
            f"{name} has the line '{line}': {error}",
            expected="a regular expression over module paths, such as attn2 or layers\\.1[0-9]\\.",
            remedy="Correct it, or leave the line out",
        ) from error
