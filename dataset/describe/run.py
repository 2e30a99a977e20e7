"""Descriptions for a dataset. Every answer is kept the moment it is given."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ...core.errors import ConfigError, DatasetError, shorten
from ...core.protocols import Progress
from ...core.seeds import derive_seed
from ..colour import hex_colour
from ..decode import DECODE_VERSION, decode
from ..items import Dataset, DatasetItem
from ..written import CAPTION, check_variable, put, wanted, with_trigger
from .answers import allowed_answers, clean, the_answer
from .describer import Ask, Describer, Reply
from .kept import KeptAnswers
from .settings import DescribeSettings
from .sight import require_sight

_VERSION = 1


@dataclass(frozen=True)
class _Request:
    """What is the same for all pictures."""

    settings: DescribeSettings
    text: str
    variable: str
    allowed: tuple[str, ...]


def describe_dataset(
    dataset: Dataset,
    settings: DescribeSettings,
    describer: Describer,
    kept: KeptAnswers,
    progress: Progress,
) -> Dataset:
    """Write descriptions into captions, or answers into a variable.

    Args:
        dataset: the pictures; nothing on disk is changed.
        settings: what is asked, and what becomes of it.
        describer: the model; it is not loaded when every answer is known.
        kept: earlier answers; what was answered before a failure or Cancel is not lost.
        progress: told after every picture.

    Raises:
        ConfigError: a setting is wrong.
        DatasetError: a picture is damaged, or was answered with nothing or with none of the
            allowed answers; it is named.
        HostError: the model cannot look at pictures, or failed.
    """
    request = _request(settings, describer)
    work = _Work(request, describer, kept, dataset.background)
    numbers = wanted(dataset, request.variable, settings.apply_to)
    items = list(dataset.items)
    unclear: list[str] = []
    for done, index in enumerate(numbers, start=1):
        progress.check_cancelled()
        item = items[index]
        reply, shown = work.reply(item)
        text = _text(reply, request)
        if text is None:
            unclear.append(f"{item.name} ({reply.text.strip()[:60]!r})")
        else:
            items[index] = _described(item, text, reply, request, describer)
        progress.update(done, len(numbers), picture=shown)
    if unclear:
        raise _unclear(unclear, request)
    cut = [] if request.allowed else [
        items[i].name for i in numbers if _was_cut(items[i], request.variable)
    ]
    notes = [f"Cut off at max_tokens and shortened: {shorten(cut)}."] if cut else []
    return dataclasses.replace(dataset, items=tuple(items)).with_notes(*notes)


def _request(settings: DescribeSettings, describer: Describer) -> _Request:
    allowed = tuple(allowed_answers(settings.answers))
    fallback = settings.fallback.strip()
    if fallback and not allowed:
        raise ConfigError(
            f"fallback is {fallback!r}, and answers is empty",
            expected="allowed answers that the model can fail to name",
            remedy="Fill in answers, or empty fallback",
        )
    text = describer.worded(settings.prompt.strip(), allowed)
    return _Request(settings, text, check_variable(settings.variable), allowed)


def _text(reply: Reply, request: _Request) -> str | None:
    """What is written; None where the reply is of no use."""
    settings = request.settings
    text = clean(reply.text, finished=reply.finished, trim_openings=settings.trim_openings)
    if request.allowed:
        return the_answer(text, request.allowed) or settings.fallback.strip() or None
    if not text:
        return None
    return with_trigger(text, settings.trigger) if request.variable == CAPTION else text


def _described(
    item: DatasetItem, text: str, reply: Reply, request: _Request, describer: Describer
) -> DatasetItem:
    settings = request.settings
    how: dict[str, Any] = {
        "by": "vision model",
        "model": describer.name,
        "model_sha256": describer.identity,
        "prompt": request.text,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "max_tokens": settings.max_tokens,
        "finished": reply.finished,
        "raw": reply.text,
    }
    return put(item, text, request.variable, how)


def _was_cut(item: DatasetItem, variable: str) -> bool:
    return item.provenance[variable].get("finished") is False


class _Work:
    """Answers from what is kept, or from the model."""

    def __init__(
        self, request: _Request, describer: Describer, kept: KeptAnswers, background: str
    ) -> None:
        self._request, self._describer = request, describer
        self._kept = kept if describer.reusable else KeptAnswers(None)
        self._background = background
        self._sees = False

    def reply(self, item: DatasetItem) -> tuple[Reply, Image.Image | None]:
        """The answer, and the picture where it had to be looked at."""
        key = self._key(item)
        known = self._kept.get(key)
        if known is not None and isinstance(known.get("text"), str):
            return Reply(known["text"], known.get("finished") is not False), None
        image = decode(item.source, self._background).image.copy()
        longest = self._request.settings.longest_side_px
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        self._require_sight(image)
        reply = self._describer.describe(image, self._ask(item))
        self._kept.put(key, {"text": reply.text, "finished": reply.finished})
        return reply, image

    def _require_sight(self, image: Image.Image) -> None:
        """Once for each model, ever."""
        key = {"kind": "sight", "model": self._describer.identity, "version": _VERSION}
        if not self._sees and self._kept.get(key) is None:
            require_sight(self._describer, image)
            self._kept.put(key, {"sees": True})
        self._sees = True

    def _ask(self, item: DatasetItem) -> Ask:
        settings = self._request.settings
        return Ask(
            text=self._request.text,
            seed=derive_seed(settings.seed, item.source.sha256, "describe"),
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )

    def _key(self, item: DatasetItem) -> dict[str, Any]:
        settings = self._request.settings
        drawn = settings.temperature > 0
        return {
            "kind": "description",
            "model": self._describer.identity,
            "picture": item.source.sha256,
            "background": hex_colour(self._background),
            "prompt": self._request.text,
            "max_tokens": settings.max_tokens,
            "drawn": [settings.temperature, settings.top_p, settings.seed] if drawn else None,
            "longest_side_px": settings.longest_side_px,
            "version": [_VERSION, DECODE_VERSION],
        }


def _unclear(unclear: list[str], request: _Request) -> DatasetError:
    if not request.allowed:
        return DatasetError(
            f"The model wrote nothing about {shorten(unclear)}",
            expected="a description of every picture",
            remedy="Change the prompt, or describe these pictures by hand and set apply_to to "
            "pictures without a caption. All other answers are kept",
        )
    return DatasetError(
        f"The model named none, or several, of the allowed answers for {shorten(unclear)}",
        expected=f"one of {', '.join(request.allowed)}",
        remedy="Reword the question, allow a further answer, or fill in fallback. All other "
        "answers are kept",
    )
