"""Settings: frozen dataclasses whose fields carry their own explanation and range.

The same field serves a node's input and tooltip, the command line's help and ``run.json``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field
from typing import Any, TypeVar

from .errors import ConfigError

S = TypeVar("S")


def setting(
    default: Any = MISSING,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    choices: Sequence[str] | None = None,
    advanced: bool = False,
    multiline: bool = False,
    identity: bool = True,
) -> Any:
    """Declare one field of a settings dataclass.

    Args:
        default: the value experts would choose; left out for a required field.
        doc: what it does, in words a newcomer understands; becomes tooltip and help.
        minimum: smallest allowed number.
        maximum: largest allowed number.
        step: step of the number widget.
        choices: allowed words.
        advanced: shown folded away in nodes.
        multiline: a text of several lines.
        identity: whether another value makes another run. Where pictures are shown or how often
            checkpoints are kept does not change what is trained.
    """
    metadata = {
        "doc": doc,
        "minimum": minimum,
        "maximum": maximum,
        "step": step,
        "choices": tuple(choices) if choices else None,
        "advanced": advanced,
        "multiline": multiline,
        "identity": identity,
    }
    return field(default=default, metadata=metadata)


def validate(settings: Any) -> None:
    """Check every field against its declared range.

    Raises:
        ConfigError: names the field, the value, the allowed range and the remedy.
    """
    for item in dataclasses.fields(settings):
        if "doc" in item.metadata:
            _validate_field(item, getattr(settings, item.name))


def _validate_field(item: Field[Any], value: Any) -> None:
    choices = item.metadata["choices"]
    if choices is not None and value not in choices:
        raise ConfigError(
            f"{item.name} is {value!r}",
            expected=f"one of {', '.join(choices)}",
            remedy=f"Set {item.name} to one of these words",
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high = item.metadata["minimum"], item.metadata["maximum"]
    too_low = low is not None and value < low
    too_high = high is not None and value > high
    if too_low or too_high or not math.isfinite(value):
        raise ConfigError(
            f"{item.name} is {value}",
            expected=f"a number {_range_text(low, high)}",
            remedy=f"Set {item.name} within this range; {_default_text(item)}",
        )


def _range_text(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    if low is not None:
        return f"of at least {low:g}"
    if high is not None:
        return f"of at most {high:g}"
    return "that is finite"


def _default_text(item: Field[Any]) -> str:
    if item.default is MISSING:
        return "there is no default"
    return f"the default is {item.default}"


def as_dict(settings: Any) -> dict[str, Any]:
    """Return the settings as plain JSON values, by field name."""
    return dataclasses.asdict(settings)


def identity_dict(settings: Any) -> dict[str, Any]:
    """Return only what decides the result, for the settings hash."""
    values = as_dict(settings)
    for item in dataclasses.fields(settings):
        if not item.metadata.get("identity", True):
            values.pop(item.name)
    return values


def from_dict(kind: type[S], values: Mapping[str, Any]) -> S:
    """Build settings from JSON values; an unknown name is an error."""
    known = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"Unknown setting {', '.join(unknown)}",
            expected=f"names among {', '.join(sorted(known))}",
            remedy="Check the spelling",
        )
    return kind(**values)


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, as 64 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
