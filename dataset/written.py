"""Where a text goes that a model wrote: into the caption, or into a variable for templates."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from ..core.errors import ConfigError
from .captions import ONLY_MISSING
from .items import Dataset, DatasetItem

CAPTION, SUBJECT = "caption", "subject"


def check_variable(name: str) -> str:
    """A variable's name without outer spaces; empty stands for the caption.

    Raises:
        ConfigError: a template could not name it.
    """
    name = name.strip()
    if re.search(r"[{}|\n]", name) or name == "trigger":
        raise ConfigError(
            f"The variable is {name!r}",
            expected="a plain name such as subject, or nothing for the caption",
            remedy="Choose another name",
        )
    return name or CAPTION


def text_of(item: DatasetItem, variable: str) -> str:
    """What stands there now; empty where nothing does."""
    if variable == CAPTION:
        return item.caption or ""
    return (item.subject if variable == SUBJECT else item.columns.get(variable)) or ""


def wanted(dataset: Dataset, variable: str, mode: str) -> list[int]:
    """Numbers of the pictures to be written: all, or those where nothing stands."""
    return [
        index
        for index, item in enumerate(dataset.items)
        if mode != ONLY_MISSING or not text_of(item, variable).strip()
    ]


def put(
    item: DatasetItem, text: str, variable: str, provenance: dict[str, Any]
) -> DatasetItem:
    """The picture with a text, and with how it came about."""
    how = {**item.provenance, variable: provenance}
    if variable == CAPTION:
        return dataclasses.replace(item, caption=text, provenance=how)
    if variable == SUBJECT:
        return dataclasses.replace(item, subject=text, provenance=how)
    columns = {**item.columns, variable: text}
    return dataclasses.replace(item, columns=columns, provenance=how)


def with_trigger(text: str, trigger: str, separator: str = ", ") -> str:
    """The text after its trigger, which is written once however often this is done."""
    trigger = trigger.strip()
    if not trigger or re.match(re.escape(trigger) + r"(?!\w)", text):
        return text
    return f"{trigger}{separator}{text}" if text else trigger
