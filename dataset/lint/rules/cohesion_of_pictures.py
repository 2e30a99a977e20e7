"""Pictures that do not belong together, as a vision model sees them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....core.errors import shorten
from ...decode import decode
from ...items import TRAIN, DatasetItem
from ..cohesion import Cohesion, cohesion
from ..context import LintContext
from ..finding import INFO, WARNING, Finding
from ..rule import VISION, Rule

FEWEST, MOST = 6, 2000
LOW_SIMILARITY = 0.35
"""DINO is often below it for mixed pictures; CLIP hardly ever is, whatever they show."""
_NAME = "cohesion"


def _check(context: LintContext) -> Iterator[Finding]:
    every = [item for item in context.dataset.items if item.role == TRAIN]
    items = every[:: max(1, -(-len(every) // MOST))]
    if len(items) < FEWEST:
        return
    found = cohesion(_vectors(context, items))
    part = f" (of {len(items)} looked at)" if len(items) < len(every) else ""
    names = [item.name for item in items]
    yield from _outliers(found, names, part)
    if len(found.clusters) > 1:
        yield _clusters(found, names, part)
    if found.similarity < LOW_SIMILARITY:
        yield Finding(
            _NAME,
            INFO,
            f"The pictures have little in common{part}: their mean similarity is "
            f"{found.similarity:.2f}. A LoRA learns what is the same in all of them.",
            data={"similarity": found.similarity},
        )


def _vectors(context: LintContext, items: list[DatasetItem]) -> np.ndarray:
    """(N, D), of length 1."""
    assert context.vision is not None
    vectors = []
    for number, item in enumerate(items):
        context.progress.check_cancelled()
        vectors.append(context.vision(decode(item.source, context.dataset.background).image))
        context.progress.update(number + 1, len(items))
    return np.stack(vectors)


def _outliers(found: Cohesion, names: list[str], part: str) -> Iterator[Finding]:
    strange = [names[i] for i in found.outliers]
    if strange:
        yield Finding(
            _NAME,
            WARNING,
            f"{len(strange)} pictures are unlike all others{part}: {shorten(strange, 8)}. Look "
            "whether they belong here.",
            items=tuple(strange),
            data={"outliers": strange},
        )


def _clusters(found: Cohesion, names: list[str], part: str) -> Finding:
    groups = [[names[i] for i in members] for members in found.clusters]
    shown = "; ".join(f"{len(group)} like {shorten(group)}" for group in groups)
    return Finding(
        _NAME,
        INFO,
        f"The pictures fall into {len(groups)} groups{part}: {shown}. If they are meant as one "
        "thing, that may be too much; if not, captions must tell them apart.",
        data={"clusters": groups, "silhouette": found.silhouette},
    )


RULE = Rule(
    name=_NAME,
    doc="Pictures that have little in common, fall into clear groups, or are unlike all others, "
    "as the connected CLIP Vision or DINO model sees them.",
    check=_check,
    needs=VISION,
    levels=(WARNING, INFO),
    decodes=True,
)
