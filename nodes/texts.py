"""The workflow in a picture's text chunks, as the stock SaveImage node keeps it."""

from __future__ import annotations

import json
import re
from typing import Any

OTHERS = "extra_pnginfo"
"""Text that holds, by name, what came under names that are none."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ -]{0,78}")
"""Names that a PNG can hold, and that can stand for a file."""


def workflow_texts(cls: Any) -> dict[str, str]:
    """Text chunks of a node class that asks for the hidden prompt and extra_pnginfo.

    Names come with the request: one that a picture cannot hold would cost the whole sweep.
    """
    texts = {}
    if cls.hidden.prompt is not None:
        texts["prompt"] = json.dumps(cls.hidden.prompt)
    given = {str(name): value for name, value in (cls.hidden.extra_pnginfo or {}).items()}
    plain = [name for name in given if _PLAIN.fullmatch(name) and name != OTHERS]
    texts |= {name: json.dumps(given[name]) for name in plain}
    rest = {name: given[name] for name in given if name not in plain}
    return {**texts, OTHERS: json.dumps(rest)} if rest else texts
