"""The workflow in a picture's text chunks, as the stock SaveImage node keeps it."""

from __future__ import annotations

import json
from typing import Any


def workflow_texts(cls: Any) -> dict[str, str]:
    """Text chunks of a node class that asks for the hidden prompt and extra_pnginfo."""
    texts = {}
    if cls.hidden.prompt is not None:
        texts["prompt"] = json.dumps(cls.hidden.prompt)
    for name, value in (cls.hidden.extra_pnginfo or {}).items():
        texts[name] = json.dumps(value)
    return texts
