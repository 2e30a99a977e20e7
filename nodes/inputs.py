"""Node inputs made from a settings dataclass: one source for widget, range and tooltip."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from comfy_api.latest import io

S = TypeVar("S")
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF // 2


def inputs_of(settings: type[Any]) -> list[io.Input]:
    """One input per field, the folded-away ones last.

    Saved workflows keep widget values by position: new fields go to the end of the dataclass.
    """
    fields = dataclasses.fields(settings)
    shown = [item for item in fields if not item.metadata["advanced"]]
    folded = [item for item in fields if item.metadata["advanced"]]
    return [_input_of(item) for item in (*shown, *folded)]


def settings_of(settings: type[S], values: Mapping[str, Any]) -> S:
    """The settings among a node's values."""
    names = {item.name for item in dataclasses.fields(settings)}  # type: ignore[arg-type]
    return settings(**{name: value for name, value in values.items() if name in names})


def _input_of(item: dataclasses.Field[Any]) -> io.Input:
    meta, name = item.metadata, item.name
    common: dict[str, Any] = {
        "default": item.default,
        "tooltip": meta["doc"],
        "advanced": True if meta["advanced"] else None,
        # A graph that was saved before a setting was added goes on working.
        "optional": bool(meta["advanced"]),
    }
    if meta["choices"]:
        return io.Combo.Input(name, options=list(meta["choices"]), **common)
    if isinstance(item.default, bool):
        return io.Boolean.Input(name, **common)
    if isinstance(item.default, int):
        if name == "seed":
            common["control_after_generate"] = False
        high = min(int(meta["maximum"]), LARGEST_SEED)
        step = int(meta["step"] or 1)
        return io.Int.Input(name, min=int(meta["minimum"]), max=high, step=step, **common)
    if isinstance(item.default, float):
        return io.Float.Input(
            name,
            min=meta["minimum"],
            max=meta["maximum"],
            step=meta["step"],
            round=_rounding(meta["step"]),
            **common,
        )
    return io.String.Input(name, multiline=meta["multiline"], **common)


def _rounding(step: float | None) -> float | None:
    """Steps are for the mouse; typed values keep two more digits."""
    return step / 100 if step else None
