"""Registries by folder: adding a thing is adding one file.

A package is a registry when each of its modules declares one object under an agreed name, for
example ``AXIS = Axis(name="strength", …)``. Nothing else has to be edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any


def declared_objects(package: ModuleType, attribute: str) -> dict[str, Any]:
    """Collect the declared object of every module in a package.

    Args:
        package: the package whose modules are searched (not its sub-packages).
        attribute: the agreed name, such as ``AXIS``. Modules without it are helpers.

    Returns:
        The objects by their ``name``, sorted by it.

    Raises:
        RuntimeError: two modules declare the same name.
    """
    return dict(_collect(package.__name__, tuple(package.__path__), attribute))


@cache
def _collect(
    package_name: str, paths: tuple[str, ...], attribute: str
) -> tuple[tuple[str, Any], ...]:
    found: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for info in sorted(pkgutil.iter_modules(paths), key=lambda item: item.name):
        module = importlib.import_module(f"{package_name}.{info.name}")
        declared = getattr(module, attribute, None)
        if declared is None:
            continue
        if declared.name in found:
            raise RuntimeError(
                f"{attribute} '{declared.name}' is declared twice: in {origin[declared.name]} "
                f"and in {module.__name__}. Every name belongs to one file."
            )
        found[declared.name] = declared
        origin[declared.name] = module.__name__
    return tuple(sorted(found.items()))
