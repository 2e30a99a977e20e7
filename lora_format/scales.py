"""Alpha where a file keeps it outside of its tensors.

diffusers writes ``lora_adapter_metadata`` into the header, PEFT ``adapter_config.json`` beside the
file. ComfyUI reads neither and takes the scale for 1. Missing altogether, alpha is the
rank, never 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

METADATA_KEY = "lora_adapter_metadata"
CONFIG_NAME = "adapter_config.json"
MAX_CONFIG_BYTES = 4 << 20
MAX_PREFIXES = 16
"""A model has a few networks; a stranger's file may name any number."""
MAX_NUMBER = 1e9
ALPHA, RANK = "alpha_pattern", "rank_pattern"
PlainNames = dict[str, tuple[int, Any]]
"""By a module's name: which pattern it was, and what that sets."""
AT_START = r"(?<!\.)"
"""Before a pattern that means one module only, not those whose names end alike: PEFT lets a pattern
follow any dot, and would take Flux' ``proj_out`` for that of every block too."""
NESTING = "base_model.model."
"""What PEFT writes before names; in other formats' files between their own prefix and the name."""
REGULAR = re.compile(r"[][\\^$*+?{}()|]")


@dataclass(frozen=True)
class Scales:
    """PEFT's settings, by the prefix that diffusers puts before a component.

    Attributes:
        settings: e.g. ``{"unet": {"r": 8, "lora_alpha": 16}}``; prefix ``""`` goes for all.
    """

    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def alpha(self, stem: str, rank: int) -> float:
        """Alpha of a module that has no tensor for it.

        Args:
            stem: the module's name in the file, with its prefix.
            rank: of its factors.

        Returns:
            The alpha for which ``alpha / rank`` is the scale that PEFT applies.
        """
        settings, name, patterns = self._for(stem)
        alpha = _alpha(settings, name, patterns)
        if alpha is None:
            return float(rank)
        # rsLoRA (arXiv 2312.03732) divides by the root of the rank.
        return alpha * rank**0.5 if settings.get("use_rslora") else alpha

    def whole(self, stem: str) -> float:
        """The scale of a module whose factors show no rank, as PEFT's LoKr of two whole sides."""
        settings, name, patterns = self._for(stem)
        alpha = _alpha(settings, name, patterns)
        rank = _number(_by_pattern(patterns[RANK], name, settings.get("r")))
        return 1.0 if alpha is None or rank is None or rank < 1 else alpha / rank

    @property
    def unread(self) -> list[str]:
        """Patterns that are no plain names: a stranger's regular expression is not run."""
        return [
            "".join(letter if letter.isprintable() else "?" for letter in pattern[:60])
            for settings in self.settings.values()
            for key in (ALPHA, RANK)
            for pattern in _patterns(settings.get(key))
            if REGULAR.search(_plain(pattern).removeprefix(AT_START))
        ]

    def _for(self, stem: str) -> tuple[Mapping[str, Any], str, Mapping[str, PlainNames]]:
        """The settings for a module, its name without the prefix, and names in patterns."""
        for prefix, settings in self.settings.items():
            if not prefix:
                return settings, stem, self._names[prefix]
            if stem.startswith(f"{prefix}."):
                return settings, stem[len(prefix) + 1:], self._names[prefix]
        return {}, stem, {ALPHA: {}, RANK: {}}

    @cached_property
    def _names(self) -> dict[str, dict[str, PlainNames]]:
        return {
            prefix: {key: _plain_names(settings.get(key)) for key in (ALPHA, RANK)}
            for prefix, settings in self.settings.items()
        }

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return bool(self.settings)


def read_scales(path: Path, metadata: Mapping[str, str], keys: Collection[str]) -> Scales:
    """What the header's metadata, or else the file beside it, say.

    Args:
        path: the LoRA.
        metadata: of its header.
        keys: of its tensors. In a folder of many LoRAs, PEFT's settings are only for PEFT's files.
    """
    beside = path.with_name(CONFIG_NAME)
    config: dict[str, Any] = {}
    by_peft = any(NESTING in key for key in keys)
    if by_peft and beside.is_file() and beside.stat().st_size <= MAX_CONFIG_BYTES:
        config = _json(beside.read_text("utf-8", errors="replace"))
    return scales_of(metadata, config)


def scales_of(metadata: Mapping[str, str], config: Mapping[str, Any] | None) -> Scales:
    """The same for a header's strings and PEFT's settings, already read."""
    found: Mapping[str, Mapping[str, Any]] = _nested(_json(metadata.get(METADATA_KEY, "")))
    return Scales(found or ({"": config} if config else {}))


def _alpha(
    settings: Mapping[str, Any], name: str, patterns: Mapping[str, PlainNames]
) -> float | None:
    """Alpha as PEFT's settings have it, if they do."""
    alpha = settings.get("lora_alpha", settings.get("alpha"))
    return _number(_by_pattern(patterns[ALPHA], name, alpha))


def _number(value: Any) -> float | None:
    """A number that can belong to a scale."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < MAX_NUMBER else None  # not a NaN either


def _by_pattern(patterns: PlainNames, name: str, otherwise: Any) -> Any:
    """PEFT's rule: the first pattern that goes for the end of a name, from a dot on.

    Taken as plain names, which they are in practice; see :attr:`Scales.unread`.
    """
    name = name.removeprefix(NESTING)
    parts = name.split(".")
    ends = [AT_START + name, *(".".join(parts[index:]) for index in range(len(parts)))]
    found = [patterns[end] for end in ends if end in patterns]
    return min(found, key=lambda item: item[0])[1] if found else otherwise


def _plain_names(value: Any) -> PlainNames:
    names: PlainNames = {}
    for place, (pattern, setting) in enumerate(_patterns(value).items()):
        names.setdefault(_plain(pattern), (place, setting))
    return names


def _patterns(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(pattern: str) -> str:
    start = AT_START if pattern.startswith((AT_START, "^")) else ""
    plain = pattern.removeprefix(AT_START).lstrip("^").rstrip("$")
    return start + plain.replace("\\.", ".")


def _nested(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{"unet.r": 8}`` as ``{"unet": {"r": 8}}``."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        prefix, dot, setting = name.rpartition(".")
        # Module names inside of patterns have dots; settings have none.
        if dot or name in ("r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern"):
            found.setdefault(prefix, {})[setting] = value
    return found if len(found) <= MAX_PREFIXES else {}


def _json(text: str) -> dict[str, Any]:
    """A JSON object, or nothing: metadata are hints from strangers."""
    try:
        value = json.loads(text) if 0 < len(text) <= MAX_CONFIG_BYTES else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
