"""Whether ComfyUI's stock loader reads a file's names, and each of its layers once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from ..core.errors import shorten
from .bake import reads_wrongly
from .checks import counted
from .finding import ERROR, WARNING, Finding
from .ir import Target
from .read import Reading
from .stock_names import read_targets

CONVERT = "Convert it: the Convert LoRA node, or python kiln.py convert FILE"


def naming(reading: Reading, unread: Collection[str], total: int) -> Iterator[Finding]:
    """Keys that are understood here and passed over there.

    Args:
        reading: the file.
        unread: keys that the stock loader passes over.
        total: number of keys.
    """
    used = {key for keys in reading.keys.values() for key in keys.values()}
    passed_over = [key for key in unread if key in used]
    if not passed_over:
        return
    if len(unread) == total:
        text = f"The LoRA does nothing: ComfyUI's LoRA loader reads none of its {total} keys"
    else:
        text = "Only a part of the LoRA works: ComfyUI's LoRA loader passes over " \
            f"{len(passed_over)} of its {total} keys"
    why = "because it does not know such names"
    if reading.formats:
        writes = "writes" if len(reading.formats) == 1 else "write"
        why = f"because it does not know the names that {' and '.join(reading.formats)} {writes}"
    yield Finding("unread-names", ERROR, f"{text}, {why} ({shorten(passed_over, 1)})",
                  _how_to_convert(reading))


def _how_to_convert(reading: Reading) -> str:
    if any(reads_wrongly(layer, reading.table) for layer in reading.lora.layers):
        return "Convert it with the base model at hand, because it is DoRA over outputs: the " \
            "Convert LoRA node with the model connected, or python kiln.py convert --base " \
            "CHECKPOINT FILE"
    if reading.errors:
        return f"{CONVERT}, with lossy on (--lossy), because a part of it cannot be converted: " \
            f"{reading.errors[0].text}"
    return CONVERT


def repeated(keys: Collection[str], names: Mapping[str, Target]) -> Iterator[Finding]:
    """Fused layers beside their parts, both under names that the loader reads: it adds both.

    Args:
        keys: of the file.
        names: what the stock loader reads.
    """
    targets = read_targets(keys, names)
    twice = [
        part for part in targets if part.rows is not None and replace(part, rows=None) in targets
    ]
    if twice:
        whole = {part.module_path for part in twice}
        yield Finding(
            "double-strength", ERROR,
            f"ComfyUI applies {counted(whole, 'layer')} with double strength: it adds "
            f"{min(whole)} and, once more, its parts", CONVERT, min(whole),
        )


def words(reading: Reading) -> Iterator[Finding]:
    """Trained words, which a LoRA loader passes over."""
    triggers = ", ".join(f"'{trigger}'" for trigger in reading.lora.embeddings)
    if triggers and not reading.lora.layers:
        yield Finding(
            "embeddings-only", ERROR, f"It is no LoRA but trained words ({triggers}), so a LoRA "
            "loader can make nothing of it",
            "Put it into models/embeddings and write embedding:name in the prompt",
        )
    elif triggers:
        yield Finding(
            "embeddings-inside", WARNING, f"It carries trained words ({triggers}) that ComfyUI's "
            "LoRA loader passes over, so they do nothing in a prompt",
            f"{CONVERT}; the words become files for models/embeddings, used as embedding:name",
        )
