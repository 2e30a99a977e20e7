"""How much disk computed latents and encoded captions may take."""

from __future__ import annotations

import math
import os

from ..core.errors import ConfigError
from ..core.store import LIMIT_BYTES, TensorStore
from . import paths

LIMIT_VARIABLE = "KILN_CACHE_GB"


def training_store() -> TensorStore:
    """Latents and encoded captions, shared by all runs of this ComfyUI.

    Raises:
        ConfigError: the environment variable ``KILN_CACHE_GB`` is no size.
    """
    return TensorStore(paths.cache_folder(), limit_bytes=cache_limit_bytes())


def cache_limit_bytes() -> int:
    """``KILN_CACHE_GB`` times 10⁹, by default 20 GB.

    Raises:
        ConfigError: it is not a number above 0.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return LIMIT_BYTES
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 < size * 10**9 < math.inf:
        raise ConfigError(
            f"The environment variable {LIMIT_VARIABLE} is {text!r}",
            expected="a number of gigabytes above 0, such as 20",
            remedy="Correct it where ComfyUI is started, or remove it",
        )
    return int(size * 10**9)
