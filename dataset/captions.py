"""Captions from a template: a fixed sentence with a few words that differ by picture.

``{trigger}``, ``{subject}``, ``{caption}``, every metadata column and every variable that Tag
Captions or Describe Captions filled can be used, with filters behind a bar: ``{caption|tags:12}``.
``{{`` and ``}}`` write braces. What comes out is literal text, exactly what a person types at
inference.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core.errors import ConfigError, DatasetError, shorten
from .caption_filters import USAGE, Filter, parse_filters
from .items import Dataset, DatasetItem

ALL, ONLY_MISSING = "all pictures", "pictures without a caption"
MODES = (ALL, ONLY_MISSING)
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True)
class _Variable:
    """A variable: as it is written, whose value it takes, and what is done to that."""

    written: str
    name: str
    filters: tuple[Filter, ...]

    def value(self, values: Mapping[str, str]) -> str | None:
        """The filtered value; None where there is none."""
        text = values.get(self.written)
        if text is None:
            text = values.get(self.name, "")
            for one in self.filters:
                text = one(text)
        return text or None


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
            yield _variable(match.group(1).strip())
        else:
            raise ConfigError(
                f"The caption template has {token!r} at character {match.start() + 1}: {template}",
                expected="variables in braces, such as {subject}",
                remedy="Close the brace, or write {{ or }} for a brace in the text",
            )
    yield template[end:]


def _variable(written: str) -> _Variable:
    """Filters are split off; what names no filter belongs to the name."""
    name, *calls = (part.strip() for part in written.split("|"))
    filters = parse_filters(calls) if name else None
    if filters is None:
        return _Variable(written, written, ())
    return _Variable(written, name, filters)


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
        texts = {part: part.value(values) for part in parts if isinstance(part, _Variable)}
        for name in dict.fromkeys(part.written for part, text in texts.items() if text is None):
            unresolved.setdefault(name, []).append(item.name)
        written = [p if isinstance(p, str) else texts[p] or "" for p in parts]
        captions.append("".join(written).strip())
    if unresolved:
        raise _no_value(dataset, unresolved)
    return _noted(dataset, dataset.with_captions(captions), parts, template, trigger)


def _noted(
    before: Dataset, after: Dataset, parts: list[Part], template: str, trigger: str
) -> Dataset:
    """Remembers the template beside where a caption came from; what it left out made nothing."""
    done = {"template": template, "trigger": trigger}
    kept = any(isinstance(part, _Variable) and part.name == "caption" for part in parts)
    items = []
    for old, new in zip(before.items, after.items, strict=True):
        if new.caption != old.caption:
            how = dict(old.provenance.get("caption", {})) if kept else {}
            how["edits"] = [*how.get("edits", []), done]
            new = dataclasses.replace(new, provenance={**old.provenance, "caption": how})
        items.append(new)
    return dataclasses.replace(after, items=tuple(items))


def _values(item: DatasetItem, trigger: str, default_subject: str) -> Mapping[str, str]:
    """The variables of one picture; those without a value are absent."""
    values = {
        **item.columns,
        "trigger": trigger.strip() or item.columns.get("trigger", ""),
        "subject": item.subject or default_subject.strip(),
        "caption": item.caption or "",
    }
    return {name: value for name, value in values.items() if value}


_REMEDIES = {
    "trigger": "Fill in the trigger, or take {trigger} out of the template",
    "subject": "Fill in the default subject, sort the pictures into folders named by subject, or "
    "let Describe Captions ask a vision model, with variable set to subject",
    "caption": "Put a .txt file beside these pictures, or take {caption} out of the template",
}


def _no_value(dataset: Dataset, unresolved: Mapping[str, list[str]]) -> DatasetError:
    name = sorted(unresolved)[0]
    known = {column for item in dataset.items for column in item.columns}
    choices = ", ".join(f"{{{word}}}" for word in ("trigger", "subject", "caption", *sorted(known)))
    others = [f"{{{other}}}" for other in sorted(unresolved)[1:]]
    also = f"; nor have {shorten(others)} everywhere" if others else ""
    plain = name.partition("|")[0].strip()
    return DatasetError(
        f"{{{name}}} has no value for {shorten(unresolved[name])}{also}",
        expected=f"a value for every picture, of one of {choices}"
        + (f", with the filters {USAGE}" if "|" in name else ""),
        remedy=_REMEDIES.get(
            plain,
            f"Add a column '{plain}' to metadata.csv, correct the spelling, or write "
            f"{{{{{name}}}}} if the braces belong to the text",
        ),
    )
