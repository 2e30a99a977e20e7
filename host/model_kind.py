"""Which kind of model a MODEL is within its family: base, distilled, or de-distilled.

The layers are the same and the file does not say, so its name has to: ``z_image_turbo_bf16``,
``sdxl_lightning_4step``. A setting overrides the guess.
"""

from __future__ import annotations

import re

import comfy.model_patcher

from ..core.errors import ConfigError
from ..lora_format.family import Family
from ..lora_format.training import Variant
from ..trainer.objective_settings import AUTO
from .identity import source_files

_WORD_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a name written in one goes on: dreamshaperXLTurbo is dreamshaper, XL and Turbo."""
_DEDISTILLED = re.compile(
    r"((?<![a-z])|(?<=image))(de|un)[-_ ]?(turbo|distil)", re.IGNORECASE
)
_DISTILLED = re.compile(
    r"turbo|lightning|schnell|distil|(?<![a-z])(hyper(?![-_ ]?real)|lcm|dmd2?|pcm|tcd)(?![a-z])"
    r"|(?<!\d)(1[0-6]|[1-9])[-_ ]?steps?(?![a-z])",
    re.IGNORECASE,
)


def variant_of(
    patcher: comfy.model_patcher.ModelPatcher, family: Family, chosen: str = AUTO
) -> Variant:
    """The kind of a model.

    Raises:
        ConfigError: the family has no such kind.
    """
    variants = family.training.variants
    if chosen == AUTO:
        return variants.get(_guess(patcher), variants["base"])
    if chosen not in variants:
        raise ConfigError(
            f"model_kind is '{chosen}', and the model is a {family.title}",
            expected=f"auto or one of: {', '.join(variants)}",
            remedy="Set model_kind to auto",
        )
    return variants[chosen]


def _guess(patcher: comfy.model_patcher.ModelPatcher) -> str:
    config = type(getattr(patcher.model, "model_config", None)).__name__
    return "distilled" if config == "FluxSchnell" else kind_by_name(
        " ".join(path.stem for path in source_files(patcher))
    )


def kind_by_name(name: str) -> str:
    """``base``, ``distilled`` or ``dedistilled``, by the name of a file."""
    name = _WORD_BORDER.sub("_", name)
    if _DEDISTILLED.search(name):
        return "dedistilled"
    return "distilled" if _DISTILLED.search(name) else "base"
