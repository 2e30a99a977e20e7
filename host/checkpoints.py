"""The LoRAs that the stock loader lists, and those that a training run has published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ..core.errors import KilnError
from ..lora_format.header import read_header
from ..sweep.lora_names import LoraName, catalogue
from ..trainer.runs import Run
from . import paths

STEPS_KEY = "ss_steps"
"""In the metadata of a published LoRA: after how many steps."""


def listed_loras() -> list[str]:
    """Names as the stock loader lists them; finished runs know their last step."""
    names = folder_paths.get_filename_list("loras")
    finished = {str(entry.name) for entry in catalogue(names) if entry.final}
    return [_with_step(name) if name in finished else name for name in names]


def run_loras(run: Run) -> list[str]:
    """Names of a run's checkpoints in the stock loader's list, and of its finished LoRA.

    Raises:
        PathError: it has none of them any more.
    """
    names = [paths.lora_name_for_loader(path) for path in _checkpoints(run)]
    document = run.document()
    finished = Path(document["lora_path"]) if document.get("finished") else None
    if finished is not None and finished.is_file():
        last = int(document["settings"]["steps"])
        names.append(LoraName(paths.lora_name_for_loader(finished), last))
    if not names:
        raise paths.PathError(
            f"The run {run.name} has no LoRA below {paths.published_loras_folder().name}",
            expected=f"checkpoints in the folder {run.name}, or {run.name}.safetensors",
            remedy="Put the files back, or train again",
        )
    return names


def _checkpoints(run: Run) -> Iterator[Path]:
    folder = paths.published_loras_folder() / run.name
    if folder.is_dir():
        yield from sorted(folder.glob("step_*.safetensors"))


def _with_step(name: str) -> str:
    """The name with the run's last step, where its file tells it."""
    try:
        told = read_header(paths.resolve_lora(name)).metadata.get(STEPS_KEY, "")
    except (KilnError, OSError):
        return name  # Whatever it is, it is listed; loading it will say what is wrong.
    return LoraName(name, int(told)) if told.isdecimal() and len(told) < 10 else name
