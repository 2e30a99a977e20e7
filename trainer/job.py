"""What goes into a run and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.errors import MissingLibrary
from ..core.protocols import Denoiser, Progress, Sampler
from ..dataset.prepare import TrainingSet
from ..lora_format.family import Family
from ..lora_format.published import PublishedLora, file_sha256
from ..lora_format.training import Preview
from .config import TrainSettings
from .parts import Part
from .recipe import Recipe
from .runs import Run
from .side_lora import SideLora

LIBRARIES = {
    "peft": "its adapters are trained",
    "diffusers": "its learning rate schedules are used",
    "matplotlib": "the loss is drawn with it",
}


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """What a run needs from outside.

    Attributes:
        settings: what the person set.
        precision: the settled precision, never ``auto``.
        denoiser: the loaded model.
        family: its family.
        recipe: what is minimised.
        parts: what is trained, by module path.
        side: a training adapter, by module path; empty for none.
        preview: how the model's kind is drawn with.
        pictures: prepared latents and captions.
        run: folder of the run.
        sampler: draws previews; None for no previews.
        progress: tells the person, and hears Cancel.
        loras: folder in which LoRAs are published.
        loader_name: the stock loader's name of a published file.
        base_hash: identity of the base model, for the metadata.
    """

    settings: TrainSettings
    precision: str
    denoiser: Denoiser
    family: Family
    recipe: Recipe
    parts: Mapping[str, Part]
    side: Mapping[str, SideLora]
    preview: Preview
    pictures: TrainingSet
    run: Run
    sampler: Sampler | None
    progress: Progress
    loras: Path
    loader_name: Callable[[Path], str]
    base_hash: str


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What came of a run.

    Attributes:
        lora: the published file.
        metrics: one entry per step.
        probe_start: fixed-sample loss before training.
        probe_end: the same after it.
        trained_steps: steps trained in this call; 0 when the run was finished before.
    """

    lora: PublishedLora
    metrics: list[dict[str, Any]]
    probe_start: float
    probe_end: float
    trained_steps: int


def require_libraries() -> None:
    """Refuse to begin where a library is missing that the run will need.

    Raises:
        MissingLibrary: with the line that installs it.
    """
    for library, purpose in LIBRARIES.items():
        if find_spec(library) is None:
            raise MissingLibrary(library, purpose)


def finished_result(
    run: Run, family: Family, loader_name: Callable[[Path], str]
) -> TrainResult | None:
    """The result of a finished run whose LoRA still stands where it was published."""
    document = run.document()
    if not document.get("finished"):
        return None
    path = Path(document["lora_path"])
    if not path.is_file() or file_sha256(path) != document["lora_sha256"]:
        return None
    lora = PublishedLora(
        path=path,
        loader_name=loader_name(path),
        sha256=document["lora_sha256"],
        family=family.name,
        rank=document["settings"]["rank"],
    )
    return TrainResult(
        lora=lora,
        metrics=run.metrics(),
        probe_start=document["probe_start"],
        probe_end=document["probe_end"],
        trained_steps=0,
    )
