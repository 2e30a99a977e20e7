"""The dispatch mode: every operator that touches the pretend device is checked, then computed."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from . import kernels
from .calls import DeviceNames, enter_patches
from .pretend import PretendTensor, is_mps
from .refusal import MpsRefusal, caller

FORBIDDEN_DTYPES = {
    torch.float64: "Metal has no float64; use float32, or compute it on the CPU and move it",
    torch.complex128: "Metal has no complex128",
    **{
        dtype: "MPS has no fp8 (pytorch/pytorch#148420); keep such weights on the CPU"
        for name in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")
        if (dtype := getattr(torch, f"float8_{name}", None)) is not None
    },
}
CROSSES = frozenset({"_to_copy", "copy_", "copy", "_copy_from", "set_", "_foreach_copy_"})
"""Operators whose work it is to bring values from one device to the other."""
INDEXES = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"})
"""Operators that take indices from the CPU on every device."""
SCALAR_TAKERS = frozenset({"fill_", "fill", "masked_fill", "masked_fill_"})
"""Not elementwise by their tag, and yet they take a single number from the CPU."""


class MpsGuard(TorchDispatchMode):
    """Makes ``mps`` a pretend device while it is entered; see the package.

    Raises :class:`MpsRefusal` where a Mac would fail or silently do something else, naming the
    operator, the reason and the line. A refusal that other code catches is raised once more at
    the end.

    Attributes:
        refusals: all that were raised.
        seen: names of the operators that ran on the pretend device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[MpsRefusal] = []
        self.seen: set[str] = set()
        self._names = DeviceNames(self.refusal)
        self._stack = ExitStack()
        self._depth = 0

    def __enter__(self) -> MpsGuard:
        """Begin to pretend; entered again inside only to look into composites."""
        if self._depth == 0:
            enter_patches(self._stack, self.refusal)
            self._stack.enter_context(self._names)
        self._depth += 1
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; a refusal that was swallowed on the way is raised here."""
        super().__exit__(kind, error, trace)
        self._depth -= 1
        if self._depth:
            return
        self._stack.close()
        if error is None and self.refusals:
            raise self.refusals[0]

    def refusal(self, what: str, why: str) -> MpsRefusal:
        """The error to raise."""
        made = MpsRefusal(f"MPS: {what}: {why}. At {caller()}")
        self.refusals.append(made)
        return made

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Every operator inside the region."""
        return self.call(func, args, kwargs or {})

    def call(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Check one operator and compute it on the CPU."""
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        on_device = [tensor for tensor in tensors if isinstance(tensor, PretendTensor)]
        asked = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
        to_device = is_mps(asked) if asked is not None else bool(on_device)
        if not on_device and not to_device:
            self._check_generator(func, kwargs, to_device)
            return func(*args, **kwargs)
        name = _name(func)
        self._check_mixture(func, name, tensors)
        self._check_generator(func, kwargs, to_device)
        kind = self._kind(func, name)
        if kind == kernels.COMPOSITE:
            with self:
                return func.decompose(*args, **kwargs)
        if kind == kernels.EXPLICIT and func.namespace != "aten":
            with self:
                key = torch._C.DispatchKey.CompositeExplicitAutograd
                return func._op_dk(key, *args, **kwargs)
        self.seen.add(name)
        return self._compute(func, name, args, kwargs, to_device)

    def _kind(self, func: Any, name: str) -> str:
        """How MPS does it; refuses what it does not do."""
        if func.namespace != "aten":
            kind = _kind_of_foreign(func)
        else:
            kind = kernels.table().get(name, kernels.MISSING)
        if kind == kernels.MISSING:
            raise self.refusal(name, "MPS has no kernel for this operator")
        if kind == kernels.FALLBACK:
            raise self.refusal(name, "MPS silently computes this on the CPU")
        return kind

    def _check_mixture(self, func: Any, name: str, tensors: list[torch.Tensor]) -> None:
        """Host and device mix where torch allows it: single numbers, indices, copies."""
        base = name.split(".")[0]
        host = [tensor for tensor in tensors if not isinstance(tensor, PretendTensor)]
        if not host or len(host) == len(tensors) or base in CROSSES | INDEXES:
            return
        elementwise = torch.Tag.pointwise in func.tags or base in SCALAR_TAKERS
        if elementwise and all(tensor.ndim == 0 for tensor in host):
            return
        if kernels.table().get(name) == kernels.COMPOSITE:
            return  # Its parts are looked at.
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in host)
        raise self.refusal(name, f"tensors on the CPU ({shapes}) beside tensors on the device")

    def _check_generator(self, func: Any, kwargs: dict[str, Any], to_device: bool) -> None:
        generator = kwargs.get("generator")
        if generator is None:
            return
        pretends = getattr(self._names.generator or generator, "pretends", False)
        if pretends != to_device:
            places = ("mps", "cpu") if pretends else ("cpu", "mps")
            raise self.refusal(
                _name(func), f"a generator on {places[0]} for a tensor on {places[1]}; draw on the "
                "CPU and move the numbers"
            )

    def _compute(
        self, func: Any, name: str, args: Any, kwargs: dict[str, Any], to_device: bool
    ) -> Any:
        by_inner: dict[int, PretendTensor] = {}
        host: set[int] = set()

        def unwrap(value: Any) -> Any:
            if isinstance(value, PretendTensor):
                by_inner[id(value.inner)] = value
                return value.inner
            host.add(id(value))
            return torch.device("cpu") if is_mps(value) else value

        results = func(*tree_map(unwrap, args), **tree_map(unwrap, kwargs))
        for tensor in by_inner.values():
            tensor.mirror()

        def wrap(value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or id(value) in host:
                return value
            if id(value) in by_inner:
                return by_inner[id(value)]
            if value.dtype in FORBIDDEN_DTYPES:
                raise self.refusal(f"{name} -> {value.dtype}", FORBIDDEN_DTYPES[value.dtype])
            return PretendTensor(value, self)

        if not to_device:
            return self._as_own(results, by_inner)
        return tree_map(wrap, results)

    @staticmethod
    def _as_own(results: Any, by_inner: dict[int, PretendTensor]) -> Any:
        """What came to the host must not share the device's memory."""
        return tree_map(
            lambda value: value.clone() if id(value) in by_inner else value, results
        )


def _name(func: Any) -> str:
    overload = func._schema.overload_name
    base = func._schema.name.split("::")[-1]
    return f"{base}.{overload}" if overload else base


def _kind_of_foreign(func: Any) -> str:
    """Operators of other libraries: their own parts are looked at where they are of Python."""
    keys = torch._C.DispatchKey
    if func.has_kernel_for_dispatch_key(keys.CompositeImplicitAutograd):
        return kernels.COMPOSITE
    if func.has_kernel_for_dispatch_key(keys.CompositeExplicitAutograd):
        return kernels.EXPLICIT
    return kernels.MISSING
