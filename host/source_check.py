"""Whether the file that an object names is still the one that it was read from.

A checkpoint may be replaced while it is loaded. Taking the new file's hash for the old weights
would give one model's pictures to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil
import torch
from safetensors import SafetensorError, safe_open

SAMPLED, FEWEST = 16, 4
"""Tensors that are compared, and how many of them must be found in the file."""


def is_as_read(path: Path, weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether a file holds the weights that were read from it.

    One that is older than this process cannot have changed meanwhile. A newer one, which may just
    as well have been downloaded a moment ago, is looked into; in doubt it is another one.

    Args:
        path: the file.
        weights: by name, without patches, as the object holds them.
    """
    stat = path.stat()
    # The second one sees a file that was moved here with its old time.
    changed = max(stat.st_mtime, stat.st_ctime)
    return changed < _started_s() or _holds(path, weights)


@cache
def _started_s() -> float:
    return float(psutil.Process().create_time())


def _holds(path: Path, weights: Mapping[str, torch.Tensor]) -> bool:
    if path.suffix.lower() not in (".safetensors", ".sft"):
        return False
    names = sorted(name for name, own in weights.items() if own.ndim > 1)
    some = [names[number * len(names) // SAMPLED] for number in range(SAMPLED)] if names else []
    try:
        with safe_open(path, "pt") as file:
            keys = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
            found = {name: _key_of(name, weights[name], keys) for name in dict.fromkeys(some)}
            pairs = [(weights[name], file.get_tensor(key)) for name, key in found.items() if key]
    except (OSError, SafetensorError):
        return False
    return len(pairs) >= FEWEST and all(_equal(own, there) for own, there in pairs)


def _key_of(name: str, own: torch.Tensor, keys: Mapping[str, list[int]]) -> str:
    """The key of a weight: checkpoints put a prefix before it, single networks take one off."""
    shape = list(own.shape)
    fitting = [
        key for key, size in keys.items()
        if size == shape and (f".{key}".endswith(f".{name}") or f".{name}".endswith(f".{key}"))
    ]  # fmt: skip
    return max(fitting, key=len, default="")


def _equal(own: torch.Tensor, there: torch.Tensor) -> bool:
    """After the rounding that reading it may have done."""
    return torch.equal(own.detach().to("cpu").float(), there.to(own.dtype).float())
