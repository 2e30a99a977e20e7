"""Which modules of a model are trained, with what rank, alpha and learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ..core.errors import ConfigError, HostError
from ..lora_format.family import Family
from ..lora_format.training import Training
from .adapter_settings import AUTO, AdapterSettings
from .block_rules import check_labels
from .frozen import is_foldable


@dataclass(frozen=True)
class Part:
    """One trained module.

    Attributes:
        module: the frozen layer.
        rank: of its factors.
        alpha: numerator of the scale.
        rate: factor on the learning rate.
    """

    module: nn.Module
    rank: int
    alpha: float
    rate: float = 1.0


def choose_parts(
    modules: Mapping[str, nn.Module],
    family: Family,
    settings: AdapterSettings,
    *,
    rank: int,
    alpha: float,
) -> dict[str, Part]:
    """What is trained, by module path.

    Args:
        modules: the network's modules.
        family: its family.
        settings: what the person chose.
        rank: where no rule says otherwise.
        alpha: the same; a rule that names a rank only keeps ``alpha / rank``.

    Raises:
        ConfigError: the settings name what the model does not have, or leave nothing over.
        HostError: the model has none of the modules, or one that cannot be differentiated.
    """
    training = family.training
    preset = preset_for(training, settings)
    named = {
        path: module for path, module in modules.items()
        # By some of these names stands what has nothing to train: a skip connection that passes
        # on what comes in (UNets), an activation (Lumina 2).
        if training.is_target(path, preset) and hasattr(module, "weight")
    }
    if not named:
        raise HostError(
            f"None of the model's modules has a name that a {family.title} LoRA trains",
            expected="attention and feed-forward layers named as ComfyUI names them",
            remedy="Connect the model straight from a checkpoint loader",
        )
    rules = settings.rules()
    check_labels(rules, map(training.block_of, named))
    include, exclude = settings.patterns("include"), settings.patterns("exclude")
    parts: dict[str, Part] = {}
    for path, module in named.items():
        if include and not any(pattern.search(path) for pattern in include):
            continue
        if any(pattern.search(path) for pattern in exclude):
            continue
        part = Part(module, rank, alpha)
        for rule in rules:
            if rule.covers(training.block_of(path)):
                own_rank = part.rank if rule.rank is None else rule.rank
                own_alpha = part.alpha if rule.rank is None else alpha / rank * own_rank
                own_alpha = own_alpha if rule.alpha is None else rule.alpha
                own_rate = part.rate if rule.rate is None else rule.rate
                part = Part(module, own_rank, own_alpha, own_rate)
        if part.rank > 0:
            parts[path] = part
    _require(parts, len(named))
    return parts


def preset_for(training: Training, settings: AdapterSettings) -> str:
    """The preset that ``auto`` and the purpose come to."""
    if settings.targets == AUTO and settings.purpose in training.advice:
        return training.advice[settings.purpose].targets
    return training.preset if settings.targets == AUTO else settings.targets


def _require(parts: Mapping[str, Part], named: int) -> None:
    if not parts:
        raise ConfigError(
            f"include, exclude and block_weights leave none of {named} modules to train",
            expected="at least one",
            remedy="Loosen them",
        )
    odd = [path for path, part in parts.items() if not is_foldable(part.module)]
    if odd:
        raise HostError(
            f"{odd[0]} is a {type(parts[odd[0]].module).__name__}",
            expected="a Linear or Conv2d layer",
            remedy="Connect the checkpoint in another precision (fp16, bf16 or plain fp8), and "
            "without nodes that replace layers",
        )
