"""Alpha where a file keeps it outside of its tensors.

diffusers writes ``lora_adapter_metadata`` into the header, PEFT ``adapter_config.json`` beside the
file. ComfyUI reads neither and takes the scale for 1. Missing altogether, alpha is the
rank, never 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

METADATA_KEY = "lora_adapter_metadata"
CONFIG_NAME = "adapter_config.json"
MAX_CONFIG_BYTES = 4 << 20


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
        for prefix, settings in self.settings.items():
            if prefix and not stem.startswith(f"{prefix}."):
                continue
            alpha = settings.get("lora_alpha", settings.get("alpha"))
            name = stem[len(prefix) + 1:] if prefix else stem
            alpha = _by_pattern(settings.get("alpha_pattern"), name, alpha)
            if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
                return float(rank)
            # rsLoRA (arXiv 2312.03732) divides by the root of the rank.
            return alpha * rank**0.5 if settings.get("use_rslora") else float(alpha)
        return float(rank)

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return bool(self.settings)


def read_scales(path: Path, metadata: Mapping[str, str]) -> Scales:
    """What the header's metadata, or else the file beside it, say."""
    found = _nested(_json(metadata.get(METADATA_KEY, "")))
    if not found:
        beside = path.with_name(CONFIG_NAME)
        if beside.is_file() and beside.stat().st_size <= MAX_CONFIG_BYTES:
            settings = _json(beside.read_text("utf-8", errors="replace"))
            found = {"": settings} if settings else {}
    return Scales(found)


def _by_pattern(patterns: Any, name: str, otherwise: Any) -> Any:
    """PEFT's rule: a pattern goes for the end of a name, from a dot on.

    Taken as plain names, which they are in practice: a stranger's regular expression is not run.
    """
    if isinstance(patterns, dict):
        for pattern, value in patterns.items():
            plain = pattern.lstrip("^").rstrip("$").replace("\\.", ".")
            if name == plain or name.endswith(f".{plain}"):
                return value
    return otherwise


def _nested(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{"unet.r": 8}`` as ``{"unet": {"r": 8}}``."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        prefix, dot, setting = name.rpartition(".")
        # Module names inside of patterns have dots; settings have none.
        if dot or name in ("r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern"):
            found.setdefault(prefix, {})[setting] = value
    return found


def _json(text: str) -> dict[str, Any]:
    """A JSON object, or nothing: metadata are hints from strangers."""
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
