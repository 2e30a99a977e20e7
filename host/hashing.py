"""Hashes of what other nodes put on a MODEL: tensors, numbers, functions, small objects."""

from __future__ import annotations

import hashlib
import types
import uuid
import weakref
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import torch
from torch import nn

DEEPEST = 12
_MARKS: dict[int, tuple[weakref.ReferenceType[Any], str]] = {}


class Hasher:
    """Collects named ingredients into one digest; lists what it could not read in ``unknown``."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.unknown: list[str] = []

    def add(self, name: str, value: Any) -> None:
        """Take in a value under a name."""
        self._write("name", name)
        self._value(value, name, 0)

    def digest(self) -> str:
        """64 hex digits of everything so far."""
        return self._hash.hexdigest()

    def _write(self, kind: str, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._hash.update(f"{kind}:{len(data)}:".encode("ascii") + data)

    def _value(self, value: Any, where: str, depth: int) -> None:
        if depth > DEEPEST:
            self._give_up(value, where)
        elif value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            self._write(type(value).__name__, repr(value))
        elif isinstance(value, (torch.dtype, torch.device, torch.Size)):
            self._write("torch", str(value))
        elif isinstance(value, torch.Tensor):
            self._write("tensor", hash_tensors([("", value)]))
        elif isinstance(value, Mapping):
            self._mapping(value, where, depth)
        elif isinstance(value, (Sequence, Set)):
            items = sorted(value, key=repr) if isinstance(value, Set) else value
            self._write("sequence", str(len(value)))
            for item in items:
                self._value(item, where, depth + 1)
        else:
            self._object(value, where, depth)

    def _mapping(self, value: Mapping[Any, Any], where: str, depth: int) -> None:
        self._write("mapping", str(len(value)))
        for key in sorted(value, key=repr):
            self._value(key, where, depth + 1)
            self._value(value[key], f"{where}.{key}", depth + 1)

    def _object(self, value: Any, where: str, depth: int) -> None:
        if isinstance(value, (types.FunctionType, types.MethodType)):
            self._function(value, where, depth)
        elif isinstance(value, (type, types.BuiltinFunctionType)):
            self._write("named", f"{value.__module__}.{value.__qualname__}")
        elif isinstance(value, nn.Module):
            # Its whole descent: the stock sampling nodes mix one class name from several parts.
            line = "/".join(f"{k.__module__}.{k.__qualname__}" for k in type(value).__mro__)
            self._write("module", line)
            self._write("tensors", hash_tensors(sorted(value.state_dict().items())))
            plain = {k: v for k, v in vars(value).items() if not k.startswith("_")}
            self._mapping(plain, where, depth + 1)
        elif hasattr(value, "weights") and hasattr(value, "name"):
            # A weight adapter of core: an algorithm's name and its factors.
            self._write("adapter", f"{type(value).__qualname__}/{value.name}")
            self._value(value.weights, where, depth + 1)
        else:
            self._give_up(value, where)

    def _function(self, value: Any, where: str, depth: int) -> None:
        """By name, code and what it closes over."""
        function = getattr(value, "__func__", value)
        self._write("function", f"{function.__module__}.{function.__qualname__}")
        self._code(function.__code__, where, depth)
        self._value(function.__defaults__, where, depth + 1)
        self._value(function.__kwdefaults__, where, depth + 1)
        for cell in function.__closure__ or ():
            self._value(cell.cell_contents, where, depth + 1)
        if isinstance(value, types.MethodType):
            self._value(vars(value.__self__) if hasattr(value.__self__, "__dict__") else None,
                        where, depth + 1)

    def _code(self, code: types.CodeType, where: str, depth: int) -> None:
        self._hash.update(code.co_code)
        self._write("names", "/".join(code.co_names))
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant, where, depth + 1)
            else:
                self._value(constant, where, depth + 1)

    def _give_up(self, value: Any, where: str) -> None:
        self.unknown.append(f"{where} holds a {type(value).__qualname__}")
        self._write("unknown", _mark_of(value))


def _mark_of(value: Any) -> str:
    """The same for the same living object, and never given to another one.

    An address alone would not do: it is used again within a process.
    """
    known = _MARKS.get(id(value))
    if known is not None and known[0]() is value:
        return known[1]
    mark = uuid.uuid4().hex
    try:
        _MARKS[id(value)] = (weakref.ref(value), mark)
    except TypeError:
        return mark  # It cannot be recognised again, so it is new every time.
    return mark


def hash_tensors(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order given."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        if tensor.device.type == "meta" or tensor.numel() == 0:
            continue
        data = tensor.detach().to("cpu").contiguous().clone().flatten().view(torch.uint8)
        digest.update(data.numpy().data)
    return digest.hexdigest()
