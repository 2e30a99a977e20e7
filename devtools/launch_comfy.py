"""Starts ComfyUI's ``main.py`` for tests and demo; run with the interpreter of that ComfyUI.

    python devtools/launch_comfy.py COMFYUI DEVICE [ARGUMENT_OF_COMFYUI ...]

DEVICE is ``auto``, ``cpu`` or ``accelerator``. Three things differ from a plain start:

* the torchvision and torchaudio shims are in place (see ``torch_shims``),
* the ``extra_model_paths.yaml`` of a person's install is not read, because it can point the models
  folder, into which our nodes publish, out of the temporary base directory,
* the server ends when the process that started it ends: a pipe on standard input closes then.

Torch must not be imported before ``main.py`` has set its environment, so it is not.
"""

from __future__ import annotations

import importlib
import os
import platform
import runpy
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

# As a script, this file's own folder is the first entry of the path. It goes as soon as it has
# served: ComfyUI is to find its own modules, and the pack is to be loaded by ComfyUI alone.
import torch_shims


def has_accelerator() -> bool:
    """Whether this interpreter's torch can use a GPU, asked in another process."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if not torch_shims.torch_has_accelerator_build():
        return False
    question = "import sys, torch; sys.exit(not torch.accelerator.is_available())"
    return subprocess.run([sys.executable, "-c", question], check=False).returncode == 0


def end_with_parent() -> None:
    """End this process when standard input closes, if it is a pipe that somebody holds."""

    def watch() -> None:
        while os.read(0, 4096):  # Not sys.stdin: its lock would be held when Python ends.
            pass
        os._exit(0)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def ignore_own_model_paths(root: Path) -> None:
    """Have ComfyUI pass over the ``extra_model_paths.yaml`` in its folder."""
    importlib.import_module("comfy.options").enable_args_parsing()
    config: Any = importlib.import_module("utils.extra_config")
    load = config.load_extra_path_config
    own = root / "extra_model_paths.yaml"

    def load_unless_own(yaml_path: str) -> None:
        if Path(yaml_path).resolve() != own.resolve():
            load(yaml_path)

    config.load_extra_path_config = load_unless_own


def main() -> None:
    """Start ComfyUI with the arguments after COMFYUI and DEVICE."""
    root, device, arguments = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    torch_shims.install()
    if device == "cpu" or (device == "auto" and not has_accelerator()):
        arguments.append("--cpu")
    sys.path[0] = str(root)
    sys.argv = [str(root / "main.py"), *arguments]
    os.chdir(root)
    if os.environ.get("KILN_END_WITH_PARENT") == "1":
        end_with_parent()
    ignore_own_model_paths(root)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
