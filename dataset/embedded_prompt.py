"""The prompt that a picture was made with: from a ComfyUI graph, or from a picture's own texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

_POSITIVE = (("positive",), ("conditioning", "guider", "cond"))
"""Inputs that carry what is wanted; the first group goes before the second."""
_TEXTS = ("text", "text_g", "prompt", "string", "value", "text_l", "clip_l", "t5xxl")
_DEEPEST = 200
_LONGEST_LETTERS = 20_000
_NEGATIVE = "\nNegative prompt:"


def prompt_of_graph(graph: Any, start: str) -> str | None:
    """The positive prompt that leads to a node's pictures.

    Upstream of the node the nearest one with a positive conditioning is looked for, and from
    there the nearest text.

    Args:
        graph: nodes by id, in ComfyUI's API form.
        start: the node that the pictures come to.
    """
    if not isinstance(graph, Mapping):
        return None
    nodes = _upstream(graph, start)
    for names in _POSITIVE:
        links = (_link(_inputs(graph, node).get(name)) for node in nodes for name in names)
        for source in links:
            found = None if source is None else _text(graph, source)
            if found:
                return found
    return None


def prompt_of_file(path: Path) -> str | None:
    """The positive prompt in a picture's texts: ComfyUI's graph, or A1111's ``parameters``."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            texts = dict(picture.info)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # Whatever is wrong with it is said where it is decoded.
    parameters = texts.get("parameters")
    if isinstance(parameters, str):
        return parameters.partition(_NEGATIVE)[0].partition("\nSteps: ")[0].strip() or None
    try:
        graph = json.loads(texts.get("prompt", ""))
        ends = _ends(graph)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    found = (prompt_of_graph(graph, str(end)) for end in ends)
    return next((text for text in found if text), None)


def _text(graph: Mapping[str, Any], start: str) -> str | None:
    """The nearest text at or upstream of a conditioning."""
    for node in (start, *_upstream(graph, start)):
        inputs = _inputs(graph, node)
        for name in _TEXTS:
            value = inputs.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()[:_LONGEST_LETTERS]
    return None


def _upstream(graph: Mapping[str, Any], start: str) -> list[str]:
    """Nodes that lead to one, the nearest first."""
    found = [start]
    for node in found:  # Grows while it is walked.
        for value in _inputs(graph, node).values():
            source = _link(value)
            if source is not None and source not in found:
                found.append(source)
            if len(found) > _DEEPEST:
                return found[1:]
    return found[1:]


def _inputs(graph: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    entry = graph.get(node)
    inputs = entry.get("inputs") if isinstance(entry, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _link(value: Any) -> str | None:
    """The node that an input is linked to."""
    linked = isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)
    return str(value[0]) if linked else None


def _ends(graph: Mapping[str, Any]) -> list[str]:
    """Nodes that no other one is linked to, at most 200: a picture can bring any graph."""
    consumed = {_link(value) for node in graph for value in _inputs(graph, node).values()}
    return [node for node in graph if node not in consumed][:_DEEPEST]
