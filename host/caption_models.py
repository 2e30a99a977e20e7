"""Taggers and vision models where people keep them, and captions made with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths
import torch

from ..core.errors import KilnError
from ..core.protocols import Progress
from ..core.settings import digest
from ..core.store import TensorStore
from ..dataset.describe.kept import KeptAnswers
from ..dataset.describe.run import describe_dataset
from ..dataset.describe.settings import DescribeSettings
from ..dataset.items import Dataset
from ..dataset.tagger.files import PUBLISHED, find_tagger, list_taggers
from ..dataset.tagger.run import TagJob, tag_dataset
from ..dataset.tagger.session import CUDA, TaggerSession, choose_provider
from ..dataset.tagger.settings import TagSettings
from . import captioners
from .identity import remembered_file_hash
from .paths import cache_folder

TAGGER_KEY, LANGUAGE_KEY = "wd14_tagger", "LLM"
_WORKING_FACTOR = 2.0
"""Device memory of a tagger at work, as a multiple of its file: weights and activations."""


def model_roots(key: str) -> list[Path]:
    """Folders of a kind of model: those registered by the person or other packs, and our own.

    The own one, ``models/<key>``, is not registered here: at start-up the WD14 Tagger pack looks
    whether the key is there, and would leave the folder in which it has its models.
    """
    registered = folder_paths.folder_names_and_paths.get(key)
    named = [Path(path) for path in registered[0]] if registered else []
    return list(dict.fromkeys([*named, Path(folder_paths.models_dir) / key]))


def register(key: str) -> None:
    """Make ``models/<key>`` known to ComfyUI beside what others registered.

    Called when a graph runs, when all packs have started.
    """
    folder_paths.add_model_folder_path(key, str(Path(folder_paths.models_dir) / key))


def tagger_names() -> list[str]:
    """Installed taggers, then the published ones that are not: choosing one says what to get."""
    installed = sorted(list_taggers(model_roots(TAGGER_KEY)))
    return [*installed, *(name for name in PUBLISHED if name not in installed)]


def require_tagger(name: str) -> None:
    """Check that a tagger is there.

    Raises:
        HostError: see :func:`find_tagger`.
    """
    find_tagger(name, model_roots(TAGGER_KEY))


def tagger_stamp(name: str) -> list[Any]:
    """Changes when a tagger's files are exchanged."""
    try:
        files = find_tagger(name, model_roots(TAGGER_KEY))
    except KilnError:
        return []
    return _stamp([*files.weights, files.table])


def model_stamp(name: str) -> list[Any]:
    """Changes when the files of a model for descriptions are exchanged."""
    try:
        return _stamp(captioners.model_files(name, model_roots(LANGUAGE_KEY)))
    except KilnError:
        return []


def _stamp(files: list[Path]) -> list[Any]:
    stats = [path.stat() for path in files]
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def tag(
    dataset: Dataset, name: str, settings: TagSettings, provider: str, batch_size: int,
    progress: Progress,
) -> Dataset:
    """Tag a dataset; see :func:`tag_dataset`."""
    register(TAGGER_KEY)
    files = find_tagger(name, model_roots(TAGGER_KEY))
    chosen = choose_provider(provider)

    def load() -> TaggerSession:
        progress.say(f"Loading {files.name} on {chosen}")
        if chosen == CUDA:
            size = sum(path.stat().st_size for path in files.weights)
            _make_room(size * _WORKING_FACTOR)
        return TaggerSession(files.model, chosen)

    identity = digest([remembered_file_hash(path) for path in files.weights])
    job = TagJob(files, identity, settings, chosen, batch_size, load)
    return tag_dataset(dataset, job, TensorStore(cache_folder() / "tags"), progress)


def _make_room(need_bytes: float) -> None:
    """onnxruntime has memory of its own beside ComfyUI's: what ComfyUI holds must give way."""
    device: torch.device = comfy.model_management.get_torch_device()
    comfy.model_management.free_memory(need_bytes, device)
    comfy.model_management.soft_empty_cache()


def describe(
    dataset: Dataset, name: str, clip: Any, settings: DescribeSettings, progress: Progress
) -> Dataset:
    """Describe a dataset; see :func:`describe_dataset`."""
    register(LANGUAGE_KEY)
    kept = KeptAnswers(cache_folder() / "descriptions")
    with captioners.opened(name, captioners.Given(model_roots(LANGUAGE_KEY), clip, progress)) as it:
        return describe_dataset(dataset, settings, it, kept, progress)
