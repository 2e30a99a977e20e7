"""Lint in ComfyUI: its models as counters and vision, its folders for the report."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core import atomic
from ..core.errors import ConfigError
from ..core.protocols import Progress
from ..dataset.bucket_settings import BucketSettings
from ..dataset.items import Dataset
from ..dataset.lint.apply import NOTHING, SAFE
from ..dataset.lint.context import LintContext, LintSettings, PictureVector
from ..dataset.lint.looks import PictureLooks
from ..dataset.lint.mend import lint_and_mend, undone
from ..dataset.lint.report import LintReport
from ..dataset.lint.sheet import draw_sheets
from ..dataset.lint.told import told
from . import paths
from .tokens import counter_of
from .vision import NamedPicture, VisionModel

FIX_NOTHING, FIX_SAFE, FIX_RULES = "nothing", "safe fixes", "safe fixes and these rules"
FIXES = (FIX_NOTHING, FIX_SAFE, FIX_RULES)


@dataclass(frozen=True, kw_only=True)
class LintRequest:
    """What the node was given.

    Attributes:
        dataset: to be looked at.
        settings: what it is for.
        resolution_px: what it will be trained at.
        fix: one of :data:`FIXES`.
        fix_rules: names of rules with commas between, whose fixes are also applied.
        undo: id of fixes to be taken back first; then nothing is mended.
        clip: a CLIP, or None.
        clip_vision: a CLIP_VISION, or None.
    """

    dataset: Dataset
    settings: LintSettings
    resolution_px: int
    fix: str = FIX_NOTHING
    fix_rules: str = ""
    undo: str = ""
    clip: Any = None
    clip_vision: Any = None


@dataclass(frozen=True, kw_only=True)
class LintOutcome:
    """What the node hands on.

    Attributes:
        dataset: after the fixes, with the report in it.
        report: what is left.
        text: for people.
        sheets: all of one size.
        file: the report as JSON.
    """

    dataset: Dataset
    report: LintReport
    text: str
    sheets: list[Image.Image]
    file: Path


def lint_in_comfy(request: LintRequest, progress: Progress) -> LintOutcome:
    """Take back, lint, mend, lint again; write the report and draw the sheets.

    Raises:
        KilnError: a rule or an id does not exist, or a disk refuses.
    """
    dataset, first = request.dataset, ""
    fix = {FIX_NOTHING: NOTHING, FIX_SAFE: SAFE}.get(request.fix, f"{SAFE}, {request.fix_rules}")
    if fix != NOTHING or request.undo.strip():
        _require_own(dataset)
    if request.undo.strip():
        dataset, first = undone(dataset, request.undo.strip())
        fix = NOTHING
    looks, buckets = PictureLooks(), BucketSettings(resolution_px=request.resolution_px)
    tokens, vision = counter_of(request.clip), _vision(request.clip_vision)

    def context(current: Dataset) -> LintContext:
        return LintContext(
            dataset=current, settings=request.settings, buckets=buckets, progress=progress,
            tokens=tokens, vision=vision, looks=looks,
        )

    mended = lint_and_mend(context, dataset, fix)
    parts = [first, mended.applied.text(), told(mended.report)]
    text = "\n\n".join(part for part in parts if part)
    file = report_file(mended.dataset.name)
    atomic.write_json(file, mended.report.as_json() | {"mended": _mended(mended.applied)})
    return LintOutcome(
        dataset=mended.dataset, report=mended.report, text=text,
        sheets=draw_sheets(mended.dataset, mended.report), file=file,
    )


def _require_own(dataset: Dataset) -> None:
    """Refuse to change the pictures that come with the pack: the next update would stumble.

    Raises:
        ConfigError: the dataset has some.
    """
    pack = Path(__file__).resolve().parent.parent
    for origin in dataset.origins:
        if origin.root.resolve().is_relative_to(pack / "demo"):
            raise ConfigError(
                f"{origin.name} comes with the pack, and its files are not changed",
                expected="a folder of your own",
                remedy="Copy it below ComfyUI's input folder, or set fix to nothing",
            )


def report_file(dataset_name: str) -> Path:
    """Where the report of a dataset is written: ``output/kiln/lint/<name>.json``.

    Names that would become the same file are told apart by their hash.
    """
    plain = re.sub(r"[^\w.-]+", "_", dataset_name).strip("._")[:60]
    if plain != dataset_name:
        plain += "-" + hashlib.sha256(dataset_name.encode("utf-8", "replace")).hexdigest()[:8]
    return paths.runs_folder() / "lint" / f"{plain}.json"


def _mended(applied: Any) -> dict[str, Any]:
    return {
        "id": applied.id,
        "sets": [made.id for made in applied.sets],
        "done": [finding.fix.text for finding in applied.done],
        "skipped": [{"rule": finding.rule, "why": why} for finding, why in applied.skipped],
    }


def _vision(clip_vision: Any) -> PictureVector | None:
    """Vectors by a CLIP_VISION, kept on disk, so that a second lint is quick."""
    if clip_vision is None:
        return None
    model = VisionModel(clip_vision, paths.cache_folder())

    def vector(picture: Image.Image) -> np.ndarray:
        image = picture.convert("RGB")
        content = hashlib.sha256(repr(image.size).encode("ascii") + image.tobytes())
        return next(iter(model.embed([NamedPicture(content.hexdigest(), image)])))

    return vector
