"""A folder with a transformers model: what it holds, and whether it may be loaded.

Judged by its JSON and its file names alone. Nothing in it is ever run: no Python files, no pickle.
"""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import HostError, MissingLibrary, shorten
from ...core.settings import digest
from ..identity import remembered_file_hash
from ..paths import PathError, is_plain

PREFIX = "LLM/"
CONFIG = "config.json"
DEEPEST, MOST_LISTED = 3, 200
_CONTENT = (".safetensors", ".json", ".jinja", ".txt", ".model")
_CONVERTED = {"florence2": "florence-community/Florence-2-base or Florence-2-large"}
"""Model types whose publisher's own folders were written for code of their own under the same
name, and where folders for transformers' own classes are published."""


@dataclass(frozen=True)
class ModelFolder:
    """A model that transformers' own classes can load.

    Attributes:
        name: as it is listed.
        path: the folder.
        model_type: transformers' word for its kind, such as ``qwen2_5_vl``.
    """

    name: str
    path: Path
    model_type: str

    def files(self) -> list[Path]:
        """Everything in it that decides what it writes."""
        return sorted(p for p in self.path.iterdir() if p.suffix in _CONTENT and p.is_file())

    def identity(self) -> str:
        """Hash of these files."""
        return digest([[path.name, remembered_file_hash(path)] for path in self.files()])

    def size_bytes(self) -> int:
        """Bytes of its weights."""
        return sum(path.stat().st_size for path in self.path.glob("*.safetensors"))


def list_folders(roots: list[Path]) -> list[str]:
    """Names of all folders with a ``config.json``, up to three levels below the roots."""
    names: list[str] = []
    for root in roots:
        for folder, folders, files in os.walk(root, followlinks=True):
            relative = Path(folder).relative_to(root)
            if CONFIG in files and relative.parts:
                names.append(PREFIX + relative.as_posix())
                folders.clear()
            hidden = len(relative.parts) >= DEEPEST
            folders[:] = [] if hidden else sorted(f for f in folders if not f.startswith("."))
            if len(names) >= MOST_LISTED:
                break
    return list(dict.fromkeys(names))


def find_folder(name: str, roots: list[Path]) -> ModelFolder:
    """The folder of a name, if transformers' own classes can load it.

    Raises:
        PathError: the name leads elsewhere.
        HostError: it is not there, or it needs code from its folder, or its weights are pickled.
    """
    relative = name.removeprefix(PREFIX)
    if not is_plain(relative):
        raise PathError(
            f"The model's name is {name!r}",
            expected="the name of a folder below models/LLM",
            remedy="Choose one from the list",
        )
    # A link that stands there was put there by the owner, and leads where they want it to.
    path = next((root / relative for root in roots if (root / relative / CONFIG).is_file()), None)
    if path is None:
        raise _missing(name, relative, roots)
    config = _read_config(name, path)
    _require_safetensors(name, path)
    _require_native(name, path, config)
    return ModelFolder(name, path, str(config["model_type"]))


def transformers_module() -> Any:
    """The module transformers, which ComfyUI itself needs.

    Raises:
        MissingLibrary: it is not there.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingLibrary("transformers", "models in models/LLM are made for it") from error


def _read_config(name: str, path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unusable(name, f"has a {CONFIG} that cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise _unusable(name, f"has a {CONFIG} without a model_type")
    return config


def _require_safetensors(name: str, path: Path) -> None:
    if any(path.glob("*.safetensors")):
        return
    pickled = sorted(file.name for file in path.glob("*.bin"))
    if pickled:
        raise _unusable(
            name, f"keeps its weights as {shorten(pickled)}, a kind of file that can run programs"
        )
    raise _unusable(name, "has no weights (*.safetensors)")


def _require_native(name: str, path: Path, config: dict[str, Any]) -> None:
    """Refuse what transformers could only load by running Python files of the folder."""
    version = transformers_module().__version__
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    native = getattr(auto, "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", {})
    kind, own_code = config["model_type"], bool(config.get("auto_map"))
    converted = _CONVERTED.get(kind)
    if kind in native and not (own_code and converted):
        return
    if own_code:
        files = shorten(sorted(file.name for file in path.glob("*.py"))) or "files not there"
        raise HostError(
            f"The model {name} ({kind}) needs Python code from its own folder ({files}), and such "
            "code is never run here",
            expected="a model for transformers' own classes",
            remedy=f"Get {converted} from the Hugging Face hub instead"
            if converted
            else "Look whether its publisher has a version for transformers ('-hf'), or take "
            "another model, such as Qwen/Qwen2.5-VL-3B-Instruct",
        )
    raise _unusable(
        name, f"is of the kind '{kind}', which transformers {version} does not know as a model "
        "that looks at pictures and writes"
    )


def _missing(name: str, relative: str, roots: list[Path]) -> HostError:
    there = list_folders(roots)
    folder = roots[-1] / relative
    return HostError(
        f"There is no model {name!r}; " + (f"there are: {shorten(there)}" if there else "there is "
        "none yet"),
        expected=f"{folder} with {CONFIG}, *.safetensors and the tokenizer's and processor's files",
        remedy="Download all files of the model (for example Qwen/Qwen2.5-VL-3B-Instruct, or "
        "florence-community/Florence-2-base, on the Hugging Face hub) into that folder, and press "
        "R. Nothing is downloaded while a graph runs",
    )


def _unusable(name: str, what: str) -> HostError:
    return HostError(
        f"The model {name} {what}",
        expected="a folder as transformers saves it, with safetensors, of a model that describes "
        "pictures (image-text-to-text)",
        remedy="Download all of its files again, or choose another model",
    )
