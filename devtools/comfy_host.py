"""Finds the ComfyUI that tests and demo run in. Standard library only."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from .processes import SetupError

ROOT = Path(__file__).resolve().parent.parent
COMFYUI_VERSION = "0.30.0"
_INTERPRETERS = (
    ".venv/bin/python",
    "venv/bin/python",
    ".venv/Scripts/python.exe",
    "venv/Scripts/python.exe",
    "python_embeded/python.exe",  # Spelt so in ComfyUI's portable build.
)


@dataclass(frozen=True)
class HostPaths:
    """A ComfyUI to run in.

    Attributes:
        root: folder with ``main.py``.
        python: interpreter that has its dependencies.
        owned: whether it is the cached test host, and not somebody's own install.
    """

    root: Path
    python: Path
    owned: bool


def cache_folder() -> Path:
    """Where downloads are kept between runs: ``KILN_CACHE``, else the user's cache folder."""
    named = os.environ.get("KILN_CACHE")
    if named:
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "lora-kiln"


def is_comfyui(folder: Path) -> bool:
    """Whether a folder holds ComfyUI."""
    return (folder / "main.py").is_file() and (folder / "comfyui_version.py").is_file()


def locate_own_install(pack: Path = ROOT) -> Path | None:
    """A person's own ComfyUI: named by ``COMFYUI_PATH``, or around the pack.

    Raises:
        SetupError: ``COMFYUI_PATH`` names something else.
    """
    named = os.environ.get("COMFYUI_PATH")
    if named:
        folder = Path(named).expanduser().resolve()
        if not is_comfyui(folder):
            raise SetupError(
                f"COMFYUI_PATH is {named}, and there is no main.py with comfyui_version.py; "
                "expected the folder of a ComfyUI.",
                "Correct the variable, or unset it to use the project's own test host.",
            )
        return folder
    around = pack.parent.parent
    return around if pack.parent.name == "custom_nodes" and is_comfyui(around) else None


def python_of(install: Path) -> Path:
    """The interpreter of a person's own ComfyUI.

    Not resolved: a virtual environment's interpreter is known by the path it is called by.

    Raises:
        SetupError: none was found.
    """
    named = os.environ.get("COMFYUI_PYTHON")
    if named:
        python = Path(named).expanduser().absolute()
        if not python.is_file():
            raise SetupError(
                f"COMFYUI_PYTHON is {named}, and that is no file; expected an interpreter.",
                "Correct the variable: the Python that runs your ComfyUI.",
            )
        return python
    for folder in (install, install.parent):
        for relative in _INTERPRETERS:
            if (folder / relative).is_file():
                return folder / relative
    raise SetupError(
        f"No Python was found for the ComfyUI in {install}; expected a .venv or venv in it or "
        "beside it, or python_embeded.",
        "Set COMFYUI_PYTHON to the interpreter that runs it.",
    )


def locate_comfyui() -> HostPaths:
    """The ComfyUI to use: a person's own, else the cached test host with this interpreter.

    Raises:
        SetupError: there is none yet.
    """
    own = locate_own_install()
    if own is not None:
        return HostPaths(own, python_of(own), owned=False)
    cached = cache_folder() / f"comfyui-{COMFYUI_VERSION}"
    if is_comfyui(cached):
        return HostPaths(cached, Path(sys.executable), owned=True)
    raise SetupError(
        f"No ComfyUI to test in: {cached} is not there, and COMFYUI_PATH is not set.",
        "Run: python3 devtools/setup_env.py",
    )
