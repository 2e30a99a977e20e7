"""Loads the repository root as package ``lora_kiln``, without putting it on ``sys.path``.

On the path, our ``nodes/`` would shadow ComfyUI's ``nodes``. ComfyUI itself loads a pack by spec
too, under a name made of its path.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "lora_kiln"


def load_pack() -> ModuleType:
    """Import the pack and return it; a second call returns the same module."""
    if PACKAGE in sys.modules:
        return sys.modules[PACKAGE]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)
    return module
