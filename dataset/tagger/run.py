"""Tags for a dataset. What the model says about a picture is kept, so it is asked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...core.errors import ConfigError
from ...core.protocols import Progress
from ...core.settings import digest
from ...core.store import TensorStore
from ..colour import hex_colour
from ..decode import DECODE_VERSION, decode
from ..items import Dataset, DatasetItem
from ..written import CAPTION, check_variable, put, wanted, with_trigger
from .choose import Chosen, choose_tags
from .files import PUBLISHER, TaggerFiles
from .session import PREPROCESS_VERSION, TaggerSession
from .settings import AS_COLUMN, PRECISION_IS_RECALL, TagSettings
from .table import TagTable, read_table

KEPT_ABOVE = 0.001
"""Probabilities below are not kept: no threshold reaches them, and most of 10,000 tags do not."""


@dataclass(frozen=True)
class TagJob:
    """What is tagged with, and how.

    Attributes:
        files: the tagger.
        identity: hash of its weights.
        settings: how tags are chosen and written.
        provider: CPU, CUDA or CoreML.
        batch_size: pictures that go through together.
        load: makes the session; called only when some picture was never tagged with it.
    """

    files: TaggerFiles
    identity: str
    settings: TagSettings
    provider: str
    batch_size: int
    load: Callable[[], TaggerSession]


def tag_dataset(
    dataset: Dataset, job: TagJob, store: TensorStore, progress: Progress
) -> Dataset:
    """Write tags into captions or into a variable.

    Args:
        dataset: the pictures; nothing on disk is changed.
        job: the tagger and its settings.
        store: keeps probabilities; what was found before a failure or Cancel is not lost.
        progress: told after every batch.

    Raises:
        ConfigError: a setting is wrong, or no P=R threshold is known for this tagger.
        DatasetError: a picture is damaged; it is named.
        HostError: the tagger or its tag list is not one.
    """
    settings, table = job.settings, read_table(job.files.table)
    variable, threshold = check_variable(settings.variable), general_threshold(job)
    found = _Probabilities(job, table, store, dataset.background)
    items = list(dataset.items)
    numbers = wanted(dataset, variable, settings.apply_to)
    for start in range(0, len(numbers), job.batch_size):
        progress.check_cancelled()
        batch = numbers[start : start + job.batch_size]
        values, shown = found.of([items[index] for index in batch])
        for index, probabilities in zip(batch, values, strict=True):
            chosen = choose_tags(probabilities, table, settings, threshold)
            items[index] = _tagged(items[index], chosen, variable, threshold, job)
        progress.update(start + len(batch), len(numbers), picture=shown)
    return dataclasses.replace(dataset, items=tuple(items))


def general_threshold(job: TagJob) -> float:
    """The threshold of general tags.

    Raises:
        ConfigError: P=R is asked for, and not known for this tagger.
    """
    if job.settings.thresholds != PRECISION_IS_RECALL:
        return job.settings.general_threshold
    known = job.files.precision_is_recall
    if known is None:
        raise ConfigError(
            f"thresholds is set to {PRECISION_IS_RECALL!r}, and that is not known for "
            f"{job.files.name}",
            expected=f"a tagger of {PUBLISHER} under its own name",
            remedy="Look for 'P=R' on its model card, write the number into general_threshold, "
            "and set thresholds back",
        )
    return known


def _tagged(
    item: DatasetItem, chosen: Chosen, variable: str, threshold: float, job: TagJob
) -> DatasetItem:
    settings = job.settings
    text = chosen.text(settings.separator)
    if variable == CAPTION:
        text = with_trigger(text, settings.trigger, settings.separator)
    how: dict[str, Any] = {
        "by": "tagger",
        "model": job.files.name,
        "model_sha256": job.identity,
        "general_threshold": threshold,
        "character_threshold": settings.character_threshold,
        "rating": chosen.rating,
        "raw": chosen.probabilities,
    }
    tagged = put(item, text, variable, how)
    if settings.rating == AS_COLUMN and chosen.rating:
        tagged = put(tagged, chosen.rating, "rating", {k: how[k] for k in list(how)[:3]})
    return tagged


class _Probabilities:
    """What the tagger says about pictures, from the store or from the model."""

    def __init__(
        self, job: TagJob, table: TagTable, store: TensorStore, background: str
    ) -> None:
        self._job, self._count, self._store = job, len(table), store
        self._background = background
        self._session: TaggerSession | None = None

    def of(
        self, items: Sequence[DatasetItem]
    ) -> tuple[list[np.ndarray], Image.Image | None]:
        """(T,) for each picture, and one of the pictures that had to be decoded."""
        missing = [it for it in items if not self._store.path(digest(self._key(it))).exists()]
        images = [decode(item.source, self._background).image for item in missing]
        made = dict(zip([it.name for it in missing], self._run(images), strict=True))
        return [self._stored(item, made) for item in items], images[-1] if images else None

    def _stored(self, item: DatasetItem, made: dict[str, np.ndarray]) -> np.ndarray:
        def make() -> dict[str, torch.Tensor]:
            # A damaged entry was there a moment ago: it is made again, alone.
            known = made.get(item.name)
            if known is None:
                known = self._run([decode(item.source, self._background).image])[0]
            (kept,) = np.nonzero(known >= KEPT_ABOVE)
            return {
                "index": torch.from_numpy(kept.astype(np.int32)),
                "value": torch.from_numpy(known[kept].astype(np.float32)),
            }

        stored = self._store.get_or_make(self._key(item), make)
        values = np.zeros(self._count, dtype=np.float32)
        values[stored["index"].numpy()] = stored["value"].numpy()
        return values

    def _run(self, images: Sequence[Image.Image]) -> list[np.ndarray]:
        if not images:
            return []
        if self._session is None:
            self._session = self._job.load()
        return list(self._session.probabilities(images, self._count))

    def _key(self, item: DatasetItem) -> dict[str, Any]:
        return {
            "kind": "tags",
            "model": self._job.identity,
            "provider": self._job.provider,
            "tags": self._count,
            "picture": item.source.sha256,
            "background": hex_colour(self._background),
            "version": [PREPROCESS_VERSION, DECODE_VERSION],
        }


