"""Which of a tagger's tags go into a caption, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import ConfigError
from ...core.settings import setting, validate
from ..captions import ALL, MODES

OWN, PRECISION_IS_RECALL = "as set here", "P=R of the model"
OFF, AS_TAG, AS_COLUMN = "off", "as tag", "as column"
ON, FIRST = "on", "first"
BY_CONFIDENCE, ALPHABETICAL, BY_CATEGORY = "by confidence", "alphabetical", "category first"
LEAST_THRESHOLD = 0.01


@dataclass(frozen=True, kw_only=True)
class TagSettings:
    """From probabilities to a caption. Changing any of these does not run the model again."""

    general_threshold: float = setting(
        0.35, minimum=LEAST_THRESHOLD, maximum=0.99, step=0.01,
        doc="General tags more likely than this are taken. Lower finds more, and more that is "
        "wrong.",
    )
    character_threshold: float = setting(
        0.85, minimum=LEAST_THRESHOLD, maximum=0.99, step=0.01,
        doc="Names of characters more likely than this are taken.",
    )
    trigger: str = setting(
        "", doc="Written before all tags, once: the rare word that will call up what is trained."
    )
    blacklist: str = setting(
        "", multiline=True,
        doc="Tags that are never written, separated by commas or lines, with spaces or "
        "underscores: what always belongs to the trigger, such as a character's hair colour.",
    )
    apply_to: str = setting(
        ALL, choices=MODES,
        doc="Tag all pictures, or only those whose caption (or variable) is missing or empty.",
    )
    thresholds: str = setting(
        OWN, choices=(OWN, PRECISION_IS_RECALL), advanced=True,
        doc="P=R takes the general threshold at which the model's publisher measured as many "
        "missed as wrong tags, where it is known. The character threshold stays as set here.",
    )
    rating: str = setting(
        OFF, choices=(OFF, AS_TAG, AS_COLUMN), advanced=True,
        doc="The likeliest rating (general, sensitive, questionable, explicit): left out, "
        "written as the last tag, or kept as {rating} for caption templates.",
    )
    characters: str = setting(
        ON, choices=(ON, OFF, FIRST), advanced=True,
        doc="Names of characters: among the other tags, left out, or before all others.",
    )
    order: str = setting(
        BY_CONFIDENCE, choices=(BY_CONFIDENCE, ALPHABETICAL, BY_CATEGORY), advanced=True,
        doc="Likeliest first, alphabetical, or characters, then general tags, each likeliest "
        "first.",
    )
    replace_underscores: bool = setting(
        True, advanced=True,
        doc="Write long hair instead of long_hair, as people type it. Emoticons such as ^_^ keep "
        "theirs.",
    )
    escape_brackets: bool = setting(
        False, advanced=True,
        doc="Write \\( and \\) for brackets. Off: captions here are taken word for word, and "
        "brackets have no other meaning. Only for trainers that read captions as prompts.",
    )
    separator: str = setting(", ", advanced=True, doc="What stands between two tags.")
    variable: str = setting(
        "", advanced=True,
        doc="Empty writes the caption. A name such as tags keeps the captions and gives every "
        "picture a variable for caption templates: {tags}.",
    )

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a field is out of its range.
        """
        validate(self)
        if not self.separator:
            raise ConfigError(
                "separator is empty",
                expected="something between two tags, such as a comma and a space",
                remedy="Write ', ' into separator",
            )
