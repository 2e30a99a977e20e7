"""Which operators MPS has, read from the installed torch.

The wheel ships ``torchgen/packaged/ATen/native/native_functions.yaml``: the table from which the
dispatcher's registrations are generated, MPS among them. So this is not a list of ours that ages;
another torch brings its own.

Three sets are not in that table. They were read in pytorch's sources and are named below.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

SILENT_FALLBACKS = frozenset(
    {"embedding_renorm_", "linalg_svd", "linalg_svd.U", "col2im", "upsample_nearest3d.vec"}
)
"""Run on the CPU after one warning (``TORCH_LIBRARY_IMPL(aten, MPS, m)`` in
aten/src/ATen/mps/MPSFallback.mm). Everything else that is missing raises NotImplementedError,
unless a person set PYTORCH_ENABLE_MPS_FALLBACK, which we promise not to need."""

NOT_REACHED = frozenset({"_fused_rms_norm_backward"})
"""Missing, but no Mac asks for it: where gradients are wanted, ``rms_norm_symint``
(aten/src/ATen/native/layer_norm.cpp) takes the general arithmetic on MPS instead of the fused
operator, whose operators are all there."""

REGISTERED_IN_CODE = frozenset({"_copy_from", "_copy_from_and_resize", "shallow_copy_data_"})
"""Registered for MPS in C++ only (aten/src/ATen/native/mps/operations/Copy.mm)."""

NATIVE, COMPOSITE, EXPLICIT, FALLBACK, MISSING = (
    "native", "composite", "explicit", "fallback", "missing",
)


@lru_cache(maxsize=1)
def table() -> dict[str, str]:
    """What MPS does with each operator of ``aten``, by name with overload (``add.Tensor``).

    ``native``: a kernel of its own; ``composite``: made of other operators, each of which counts;
    ``explicit``: one implementation for all devices; ``fallback``: silently on the CPU;
    ``missing``.
    """
    import torchgen
    from torchgen.gen import parse_native_yaml
    from torchgen.model import DispatchKey

    folder = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native"
    parsed = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    registered = parsed.backend_indices[DispatchKey.MPS]
    functions = {str(function.func.name): function for function in parsed.native_functions}
    kinds = {name: _kind(function, functions, registered) for name, function in functions.items()}
    for names, kind in (
        (NOT_REACHED | REGISTERED_IN_CODE, NATIVE), (SILENT_FALLBACKS, FALLBACK),
    ):
        kinds |= dict.fromkeys(names, kind)
    return kinds


def _kind(function: Any, functions: dict[str, Any], registered: Any) -> str:
    if registered.has_kernel(function):
        return NATIVE
    if function.has_composite_implicit_autograd_kernel:
        return COMPOSITE
    if (
        function.has_composite_explicit_autograd_kernel
        or function.has_composite_explicit_autograd_non_functional_kernel
    ):
        return _kind_of_work(function, functions, registered)
    delegate = function.structured_delegate
    if delegate is not None and registered.has_kernel(functions[str(delegate)]):
        return NATIVE
    return MISSING


def _kind_of_work(function: Any, functions: dict[str, Any], registered: Any) -> str:
    """An explicit composite that allocates its result and calls its ``out`` form needs that one."""
    name = function.func.name
    for overload in (f"{name.overload_name}_out".lstrip("_"), "out"):
        twin = functions.get(f"{name.name}.{overload}")
        if twin is None or "generated" in twin.tags:
            continue
        if twin.func.signature(strip_default=True) == function.func.signature(strip_default=True):
            explicit = (
                twin.has_composite_implicit_autograd_kernel
                or twin.has_composite_explicit_autograd_kernel
            )
            return EXPLICIT if explicit or registered.has_kernel(twin) else MISSING
    return EXPLICIT
