"""Lets a CPU build of torch live with CUDA-linked builds of torchvision and torchaudio.

The package index has no CPU build of either for Linux, and their native libraries do not load
beside a CPU torch. Neither library does anything that ComfyUI needs on a CPU, so:

* torchvision registers fake kernels for two operators that its library would have defined, and
  that registration fails. We define the two, without an implementation.
* torchaudio loads its library when it finds the file. We have it find none; it then goes on
  without its extension, as it does where it was built without one.

Both happen when the packages are first imported, and only where the builds really mismatch: nothing
on disk is touched, and a matching install is left as it is. Runs at every start of the project's
own ``.venv`` (``setup_env.py`` copies this file there) and in ``launch_comfy.py``; therefore the
standard library only, and torch is not imported before somebody asks for torchvision.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_keep_alive: list[object] = []


def version_text(package: str) -> str:
    """The text of a package's ``version.py``, read without importing the package; else empty."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    try:
        return (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""


def torch_has_accelerator_build() -> bool:
    """Whether the installed torch was built for CUDA, ROCm or XPU (a device need not be there)."""
    return bool(re.search(r"^(cuda|hip|xpu)\b.*=\s*'", version_text("torch"), re.MULTILINE))


def is_mismatched(package: str) -> bool:
    """Whether a package's library is linked to CUDA while torch is a CPU build."""
    linked = re.search(r"__version__\s*=\s*'[^']*\+cu\d", version_text(package)) is not None
    return linked and not torch_has_accelerator_build()


def _define_operators(_: ModuleType) -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for signature in _OPERATORS:
        library.define(signature)
    _keep_alive.append(library)  # The definitions live as long as this object.


def _find_no_library(utils: ModuleType) -> None:
    # It answers False where there is no library file, and the caller goes on without one.
    setattr(utils, "_load_lib", lambda lib: False)  # noqa: B010  No such name in a ModuleType.


# Module that is watched for: the package it belongs to, what to do before the module executes,
# and what to do after it.
_Act = Callable[[ModuleType], None]
_WATCHED: dict[str, tuple[str, _Act | None, _Act | None]] = {
    "torchvision": ("torchvision", _define_operators, None),
    "torchaudio._extension.utils": ("torchaudio", None, _find_no_library),
}


class _FirstImport:
    """A meta path finder that has the cure run right where one of the modules executes.

    Not when it is looked up: many libraries only ask whether torchvision is there, and must not
    get torch imported by that.
    """

    def __init__(self) -> None:
        self.waiting_for = set(_WATCHED)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a watched module as Python does, and put the cure around its execution."""
        if name not in self.waiting_for:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module
        package, before, after = _WATCHED[name]

        def execute_cured(module: ModuleType) -> None:
            first, mismatched = name in self.waiting_for, is_mismatched(package)
            self.waiting_for.discard(name)
            if first and mismatched and before is not None:
                before(module)
            execute(module)
            if mismatched and after is not None:
                after(module)

        setattr(spec.loader, "exec_module", execute_cured)  # noqa: B010  One loader a spec.
        return spec


def install() -> None:
    """Wait for torchvision and torchaudio to be imported; a second call does nothing."""
    marker = "lora_kiln_torch_shims"
    if any(getattr(finder, "marker", None) == marker for finder in sys.meta_path):
        return
    finder = _FirstImport()
    setattr(finder, "marker", marker)  # noqa: B010  Known by name: this file may be loaded twice.
    sys.meta_path.insert(0, finder)
