"""What a rule may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from PIL import Image

from ...core.errors import ConfigError
from ...core.protocols import Progress
from ...core.settings import setting, validate
from ..bucket_settings import BucketSettings
from ..items import Dataset
from ..token_layout import TokenCounter
from .folder import Folder, folders_of
from .looks import PictureLooks

STYLE, CHARACTER, CONCEPT = "style", "character", "concept"
TRAINED = (STYLE, CHARACTER, CONCEPT)


@dataclass(frozen=True, kw_only=True)
class LintSettings:
    """What the dataset is for, as far as it decides what is a fault."""

    trains: str = setting(
        STYLE,
        doc="What shall be learned. Captions that are all alike are right for a style, but take "
        "from the trigger of a character what it should learn.",
        choices=TRAINED,
    )
    trigger: str = setting(
        "",
        doc="The word or words that shall call up what is trained. Captions without it, or with "
        "it misspelt, are found. Empty looks for none.",
    )
    batch_size: int = setting(
        1,
        doc="Pictures per step. Sizes with fewer pictures than that cannot fill a batch.",
        minimum=1,
        maximum=64,
    )
    without: str = setting(
        "",
        doc="Names of rules to leave out, with commas between.",
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)
        if "\n" in self.trigger:
            raise ConfigError(
                "The trigger has several lines",
                expected="the words that are typed to call up what was trained",
                remedy="Write them in one line",
            )


PictureVector = Callable[[Image.Image], np.ndarray]
"""From an RGB picture to a vector (n,) float32 of length 1: a connected vision model."""


@dataclass(frozen=True, kw_only=True)
class LintContext:
    """The dataset with everything rules may ask.

    Attributes:
        dataset: the pictures, captions, faults, and the folders they are from.
        settings: what it is for.
        buckets: the sizes it will be trained at.
        progress: told while pictures are read; its interrupt is passed on.
        tokens: the model's tokenizer; rules that need it are skipped without.
        vision: a vision model; rules that need it are skipped without.
        looks: what was seen in pictures, decoded once for all rules.
    """

    dataset: Dataset
    settings: LintSettings
    buckets: BucketSettings
    progress: Progress
    tokens: TokenCounter | None = None
    vision: PictureVector | None = None
    looks: PictureLooks = field(default_factory=PictureLooks)

    @cached_property
    def folders(self) -> tuple[Folder, ...]:
        """The files of the folders that the dataset is from, sorted by what they are."""
        return folders_of(self.dataset)
