"""Captions from a template: a fixed sentence with a few words that differ by picture.

``{trigger}``, ``{subject}``, ``{caption}`` and every metadata column can be used; ``{{`` and
``}}`` write braces. What comes out is literal text, exactly what a person types at inference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core.errors import ConfigError, DatasetError, shorten
from .items import Dataset, DatasetItem

ALL, ONLY_MISSING = "all pictures", "pictures without a caption"
MODES = (ALL, ONLY_MISSING)
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True)
class _Variable:
    name: str


Part = str | _Variable


def parse_template(template: str) -> list[Part]:
    """Split a template into literal texts and variables.

    Raises:
        ConfigError: it is empty, or a brace has no partner.
    """
    if not template.strip():
        raise ConfigError(
            "The caption template is empty",
            expected="a text such as '{trigger}, portrait of a {subject}'",
            remedy="Write one, or leave this node out to keep the captions as they are",
        )
    return list(_parts(template))


def _parts(template: str) -> Iterator[Part]:
    end = 0
    for match in _TOKEN.finditer(template):
        yield template[end : match.start()]
        end = match.end()
        token = match.group()
        if token in ("{{", "}}"):
            yield token[0]
        elif match.group(1) is not None and match.group(1).strip():
            yield _Variable(match.group(1).strip())
        else:
            raise ConfigError(
                f"The caption template has {token!r} at character {match.start() + 1}: {template}",
                expected="variables in braces, such as {subject}",
                remedy="Close the brace, or write {{ or }} for a brace in the text",
            )
    yield template[end:]


def apply_template(
    dataset: Dataset,
    template: str,
    *,
    trigger: str = "",
    default_subject: str = "",
    mode: str = ALL,
) -> Dataset:
    """Write every caption from the template.

    Args:
        dataset: the pictures; nothing on disk is changed.
        template: text with variables.
        trigger: value of ``{trigger}``.
        default_subject: value of ``{subject}`` where neither folder nor metadata gives one.
        mode: one of :data:`MODES`.

    Raises:
        ConfigError: the template or the mode is malformed.
        DatasetError: a variable has no value for some picture; both are named.
    """
    if mode not in MODES:
        raise ConfigError(
            f"The mode is {mode!r}", expected=" or ".join(MODES), remedy="Choose one of them"
        )
    parts = parse_template(template)
    unresolved: dict[str, list[str]] = {}
    captions: list[str | None] = []
    for item in dataset.items:
        if mode == ONLY_MISSING and item.caption:
            captions.append(item.caption)
            continue
        values = _values(item, trigger, default_subject)
        for name in {part.name for part in parts if isinstance(part, _Variable)} - set(values):
            unresolved.setdefault(name, []).append(item.name)
        captions.append("".join(_text(part, values) for part in parts).strip())
    if unresolved:
        raise _no_value(dataset, unresolved)
    return dataset.with_captions(captions)


def _values(item: DatasetItem, trigger: str, default_subject: str) -> Mapping[str, str]:
    """The variables of one picture; those without a value are absent."""
    values = {
        **item.columns,
        "trigger": trigger.strip() or item.columns.get("trigger", ""),
        "subject": item.subject or default_subject.strip(),
        "caption": item.caption or "",
    }
    return {name: value for name, value in values.items() if value}


def _text(part: Part, values: Mapping[str, str]) -> str:
    return values.get(part.name, "") if isinstance(part, _Variable) else part


_REMEDIES = {
    "trigger": "Fill in the trigger, or take {trigger} out of the template",
    "subject": "Fill in the default subject, or sort the pictures into folders named by subject",
    "caption": "Put a .txt file beside these pictures, or take {caption} out of the template",
}


def _no_value(dataset: Dataset, unresolved: Mapping[str, list[str]]) -> DatasetError:
    name = sorted(unresolved)[0]
    known = {column for item in dataset.items for column in item.columns}
    choices = ", ".join(f"{{{word}}}" for word in ("trigger", "subject", "caption", *sorted(known)))
    others = [f"{{{other}}}" for other in sorted(unresolved)[1:]]
    also = f"; nor have {shorten(others)} everywhere" if others else ""
    return DatasetError(
        f"{{{name}}} has no value for {shorten(unresolved[name])}{also}",
        expected=f"a value for every picture, of one of {choices}",
        remedy=_REMEDIES.get(
            name,
            f"Add a column '{name}' to metadata.csv, correct the spelling, or write "
            f"{{{{{name}}}}} if the braces belong to the text",
        ),
    )
