"""The table of real modules that names in a file are resolved by.

A name is never taken apart at its underscores: ``to_out_0`` and ``attn1_to_q`` would be ambiguous.
Instead every module stands in the table under all its names, dotted and with underscores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..core.errors import LoraFormatError
from .architecture import Architecture, Place, Shape, Shapes
from .ir import Target


@dataclass(frozen=True)
class Network:
    """The modules of one component.

    Attributes:
        component: ``unet``, ``clip_l`` and so on.
        shapes: weight shapes by the model's own names.
        aliases: other names, diffusers' first.
    """

    component: str
    shapes: Shapes
    aliases: Mapping[str, Place]

    def find(self, name: str) -> Target | None:
        """The target of a dotted name, the model's own or an alias."""
        return self._dotted.get(name)

    def find_flat(self, name: str) -> Target | None:
        """The target of a name written with underscores."""
        return self._flat.get(name)

    def shape(self, target: Target) -> Shape:
        """Weight shape of what a target names; of its rows only, where it is a part."""
        shape = self.shapes[target.module_path]
        if target.rows is None:
            return shape
        return (target.rows[1] - target.rows[0], *shape[1:])

    def foreign(self, target: Target) -> str | None:
        """Diffusers' name of a target, if it has one."""
        return self._foreign.get(target)

    def foreign_names(self) -> dict[str, Target]:
        """All targets by the names that diffusers gives them."""
        return {name: self._target(place) for name, place in self.aliases.items()}

    def parts(self, module_path: str) -> list[tuple[str, Target]]:
        """Diffusers' names of the parts of a fused module, in order of their rows."""
        return self._parts.get(module_path, [])

    @cached_property
    def _dotted(self) -> dict[str, Target]:
        own = {path: Target(self.component, path) for path in self.shapes}
        return {name: self._target(place) for name, place in self.aliases.items()} | own

    @cached_property
    def _flat(self) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for name, target in self._dotted.items():
            twin = found.setdefault(flatten(name), target)
            if twin != target:
                raise LoraFormatError(
                    f"The modules {twin.module_path} and {name} are the same with underscores",
                    expected="names that stay different",
                    remedy="Please report this model's architecture",
                )
        return found

    @cached_property
    def _foreign(self) -> dict[Target, str]:
        found: dict[Target, str] = {}
        for name, place in self.aliases.items():
            found.setdefault(self._target(place), name)
        return found

    @cached_property
    def _parts(self) -> dict[str, list[tuple[str, Target]]]:
        found: dict[str, list[tuple[str, Target]]] = {}
        for target, name in self._foreign.items():
            if target.rows:
                found.setdefault(target.module_path, []).append((name, target))
        for parts in found.values():
            parts.sort(key=lambda item: item[1])
        return found

    def _target(self, place: Place) -> Target:
        return Target(self.component, place.module_path, place.rows)


@dataclass(frozen=True)
class ModuleTable:
    """All networks of a model, by component."""

    networks: Mapping[str, Network]

    def __getitem__(self, component: str) -> Network:
        return self.networks[component]

    def shape(self, target: Target) -> Shape:
        """Weight shape of what a target names."""
        return self.networks[target.component].shape(target)


def flatten(name: str) -> str:
    """A dotted name with underscores."""
    return name.replace(".", "_")


def network(component: str, kind: type[Architecture], shapes: Shapes) -> Network:
    """A network from its modules' shapes, its other names derived from them."""
    return Network(component, shapes, kind.aliases(shapes))


def built_in(components: Mapping[str, Architecture]) -> ModuleTable:
    """The table of a family as published."""
    return ModuleTable(
        {name: network(name, type(kind), kind.shapes()) for name, kind in components.items()}
    )
