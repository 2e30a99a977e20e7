"""What merging, resizing, extracting and baking tell: as plain values, and as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ..core.errors import shorten
from .algorithm import algorithm_of
from .checks import counted
from .convert import Conversion
from .edited import KeptModules
from .extract import Extraction
from .family import families
from .merge import SVD, Merge, MergeSettings
from .resize import Resize
from .save import Saved
from .strength import BakedStrength, StrengthSettings

Report = dict[str, Any]


def merge_report(merge: Merge, settings: MergeSettings, saved: Saved) -> Report:
    """Of a merged LoRA."""
    worst = merge.worst
    layers = merge.conversion.lora.layers
    whole = [str(layer.target) for layer in layers if layer.algorithm == "diff"]
    if settings.method == SVD:
        least = min(merge.modules, key=lambda module: module.kept)
        proof = f"at least {_percent(least.kept)} kept of each layer's sum; least in {least.module}"
    else:
        proof = f"largest relative difference from the sum {worst.error:.1e} in {worst.module}"
    notes = [f"{len(whole)} layers are whole differences: {shorten(whole)}"] if whole else []
    return {
        **_common(merge.conversion, saved), "proof": proof, "notes": notes,
        "modules": [asdict(module) for module in merge.modules],
    }


def resize_report(resized: Resize, saved: Saved) -> Report:
    """Of a resized LoRA."""
    size = f"{_megabytes(resized.old_bytes)} before, {_megabytes(resized.new_bytes)} after"
    ranks = f"ranks {_counted(m.old_rank for m in resized.modules)} before"
    return {
        **_common(resized.conversion, saved), **_kept(resized, "change"), "notes": [size, ranks]
    }


def extract_report(found: Extraction, conversion: Conversion, saved: Saved) -> Report:
    """Of an extracted LoRA."""
    notes = [f"{found.equal} parameters are the same in both, or nearly"] if found.equal else []
    if found.vectors:
        notes.append(
            f"{len(found.vectors)} biases and norms differ as well and are not in it "
            f"({shorten(found.vectors)}); switch differences on to store them"
        )
    return {**_common(conversion, saved), **_kept(found, "difference"), "notes": notes}


def strength_report(baked: BakedStrength, settings: StrengthSettings, saved: Saved) -> Report:
    """Of a LoRA at another strength."""
    module, error = baked.conversion.proof.worst
    where = f"; the largest is in {module}" if error else ""
    text = settings.strength * settings.text_share
    notes = [f"strength 1 is the source's {settings.strength:g}"
             + (f", in text encoders {text:g}" if settings.text_share != 1 else "")]
    if baked.dependent:
        notes.append(
            f"{counted(baked.dependent, 'layer')} became differences of this model's weights, so "
            f"the file is for this model: {shorten(list(baked.dependent))}"
        )
    if baked.misread:
        notes.append(
            "These are as ComfyUI's LoRA loader shows them, which is not what was trained: "
            f"{shorten(list(baked.misread))}. For that, convert the source first and choose again"
        )
    return {
        **_common(baked.conversion, saved),
        "proof": f"relative difference from the source at that strength at most {error:.1e}{where}",
        "worst_error": error, "notes": notes,
    }


def _kept(found: KeptModules[Any], what: str) -> Report:
    worst = found.worst
    return {
        "proof": f"{_percent(found.kept)} of the {what} kept; least, {_percent(worst.kept)}, in "
        f"{worst.module}",
        "kept": found.kept,
        "modules": [asdict(module) for module in found.modules],
    }


def lines_of(report: Report) -> list[str]:
    """A report for people."""
    lines = [f"Layers for {report['family']}: {report['layers']}, ranks {report['ranks']}"]
    lines.append(f"proof    {report['proof']}")
    lines += [f"note     {text}" for text in report["notes"]]
    lines += [f"LEFT OUT {text}" for text in report["left_out"]]
    lines += [f"words    {path}" for path in report["embeddings"]]
    return lines


def _common(conversion: Conversion, saved: Saved) -> Report:
    layers = conversion.lora.layers
    return {
        "written": str(saved.path),
        "embeddings": [str(path) for path in saved.embeddings],
        "family": families()[conversion.lora.family].title,
        "layers": len(layers),
        "ranks": _counted(algorithm_of(layer).rank(layer) for layer in layers),
        "left_out": list(conversion.left_out),
    }


def _counted(ranks: Iterable[int | None]) -> str:
    """The most frequent ranks: ``16 × 700, 4 × 22``."""
    counted = Counter("none" if rank is None else str(rank) for rank in ranks)
    shown = [f"{rank} × {count}" for rank, count in counted.most_common()]
    return shorten(shown, 5)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
