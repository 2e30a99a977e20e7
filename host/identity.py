"""One answer to "is this the same MODEL, CLIP or VAE as then?", for caches, runs and cells.

Made of content, never of names: the source file's hash where the object names its file, else a
hash over its tensors; plus patches, object patches, options and everything else that changes
what comes out. What cannot be hashed switches reuse off and says so.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_patcher
import comfy.sd
import torch
from torch import nn

from ..core import atomic
from ..lora_format.published import file_sha256
from . import paths
from .hashing import Hasher, hash_tensors
from .source_check import is_as_read

_TENSOR_HASHES: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
_FILE_HASHES: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
_FILE_LOADERS = "comfy.sd"
"""Module whose loader functions take the source file, or a list of them, as first argument."""


@dataclass(frozen=True)
class Identity:
    """Who an object is.

    Attributes:
        digest: 64 hex digits; equal for equal content.
        reusable: whether results may be reused under this digest in another session.
        reasons: what could not be hashed.
    """

    digest: str
    reusable: bool
    reasons: tuple[str, ...]


def model_identity(patcher: comfy.model_patcher.ModelPatcher) -> Identity:
    """Identity of a MODEL."""
    hasher = Hasher()
    _add_patcher(hasher, patcher)
    hasher.add("compute dtype", compute_dtype_of(patcher))
    return _finish(hasher)


def compute_dtype_of(patcher: comfy.model_patcher.ModelPatcher) -> torch.dtype:
    """The dtype this MODEL computes in, whichever clone of it is loaded at the moment."""
    cast: torch.dtype | None = patcher.get_model_object("manual_cast_dtype")
    dtype: torch.dtype = patcher.model.get_dtype()
    return cast or dtype


def clip_identity(clip: comfy.sd.CLIP) -> Identity:
    """Identity of a CLIP: weights, patches, layer and tokenizer options."""
    hasher = Hasher()
    _add_patcher(hasher, clip.patcher)
    hasher.add("layer", clip.layer_idx)
    hasher.add("tokenizer", type(clip.tokenizer).__qualname__)
    hasher.add("tokenizer options", getattr(clip, "tokenizer_options", {}))
    hasher.add("hooks", getattr(clip.patcher, "forced_hooks", None))
    for name in ("apply_hooks_to_conds", "use_clip_schedule"):
        hasher.add(name, getattr(clip, name, None))
    hasher.add("device", clip.patcher.load_device.type)
    return _finish(hasher)


def vae_identity(vae: comfy.sd.VAE) -> Identity:
    """Identity of a VAE: weights and the dtype it computes in."""
    hasher = Hasher()
    _add_patcher(hasher, vae.patcher)
    hasher.add("dtype", vae.vae_dtype)
    return _finish(hasher)


def vision_identity(clip_vision: Any) -> Identity:
    """Identity of a CLIP_VISION: weights, kind, picture size and normalisation."""
    hasher = Hasher()
    _add_patcher(hasher, clip_vision.patcher)
    hasher.add("kind", clip_vision.model_type)
    hasher.add("config", clip_vision.config)
    pixels = [clip_vision.image_size, clip_vision.image_mean, clip_vision.image_std]
    hasher.add("pixels", pixels)
    hasher.add("dtype", clip_vision.dtype)
    return _finish(hasher)


def _add_patcher(hasher: Hasher, patcher: comfy.model_patcher.ModelPatcher) -> None:
    hasher.add("class", type(patcher.model).__qualname__)
    hasher.add("weights", _weights_hash(patcher))
    hasher.add("patches", patcher.patches)
    hasher.add("object patches", patcher.object_patches)
    hasher.add("options", patcher.model_options)
    hasher.add("loading", _loading(patcher))
    for name in ("weight_wrapper_patches", "injections", "wrappers", "callbacks",
                 "attachments"):
        hasher.add(name, {k: v for k, v in (getattr(patcher, name, None) or {}).items() if v})
    # A hook that changes only text encoders leaves an empty entry on the MODEL.
    hasher.add("hook_patches", dict(getattr(patcher, "hook_patches", None) or {}))


def _finish(hasher: Hasher) -> Identity:
    reasons = tuple(hasher.unknown)
    return Identity(hasher.digest(), reusable=not reasons, reasons=reasons)


def _weights_hash(patcher: comfy.model_patcher.ModelPatcher) -> str:
    model = patcher.model
    if model in _FILE_HASHES:
        return _FILE_HASHES[model]
    files = source_files(patcher)
    tensors = dict(_unpatched_tensors(patcher))
    if files and all(is_as_read(path, tensors) for path in files):
        parts = [remembered_file_hash(path) for path in files]
        # As read: a loader may have rounded some of them, and not the first.
        kinds = Counter(str(tensor.dtype) for tensor in tensors.values())
        parts += [f"{kind} {count}" for kind, count in sorted(kinds.items())]
        # What was read once stays what it is, even when its file is overwritten meanwhile.
        _FILE_HASHES[model] = hashlib.sha256("/".join(parts).encode("ascii")).hexdigest()
        return _FILE_HASHES[model]
    if model not in _TENSOR_HASHES:
        _TENSOR_HASHES[model] = hash_tensors(tensors.items())
    return _TENSOR_HASHES[model]


def _loading(patcher: comfy.model_patcher.ModelPatcher) -> list[Any]:
    """How the file was read: some ways to read it compute otherwise, such as fast fp8."""
    factory = getattr(patcher, "cached_patcher_init", None)
    options = list(factory[1][1:]) if factory and source_files(patcher) else []
    config = getattr(patcher.model, "model_config", None)
    return [options, dict(getattr(config, "optimizations", None) or {})]


def source_files(patcher: comfy.model_patcher.ModelPatcher) -> list[Path]:
    """The files a stock loader read this from, or nothing."""
    factory = getattr(patcher, "cached_patcher_init", None)
    if not factory or getattr(factory[0], "__module__", "") != _FILE_LOADERS or not factory[1]:
        return []
    named = factory[1][0]
    candidates = [Path(str(p)) for p in (named if isinstance(named, (list, tuple)) else [named])]
    return candidates if all(path.is_file() for path in candidates) else []


def _unpatched_tensors(
    patcher: comfy.model_patcher.ModelPatcher,
) -> Iterable[tuple[str, torch.Tensor]]:
    """Tensors by name as they are without patches: loading merges patches into the weights."""
    for name, tensor in sorted(patcher.model.state_dict(keep_vars=True).items()):
        saved = patcher.backup.get(name)
        yield name, tensor if saved is None else getattr(saved, "weight", saved)


def remembered_file_hash(path: Path) -> str:
    """SHA-256 of a file, computed once per (path, size, modification time)."""
    stat = path.stat()
    memo = paths.cache_folder() / "file_hashes.json"
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    try:
        known: dict[str, str] = json.loads(memo.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        known = {}
    if key not in known:
        known[key] = file_sha256(path)
        atomic.write_json(memo, known)
    return known[key]
