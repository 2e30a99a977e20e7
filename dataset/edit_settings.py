"""What can be done to all captions at once; the settings of ``KilnEditCaptions``."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import ConfigError
from ..core.settings import setting, validate

PLAIN, WHOLE_TAG, REGEX = "text", "whole tag", "regular expression"
AS_IS = "as it is"
SPACES, UNDERSCORES = "spaces", "underscores"
UNESCAPED, ESCAPED = "remove", "add"
LOWER = "lower case"
A_TO_Z, COMMON_FIRST, RARE_FIRST, SHUFFLED = "a to z", "common first", "rare first", "shuffled"


@dataclass(frozen=True, kw_only=True)
class CaptionEdits:
    """Edits, in the order in which they are done. The defaults change nothing."""

    find: str = setting(
        "", doc="What shall be replaced in every caption. Empty replaces nothing."
    )
    replace: str = setting(
        "", doc="What is put there instead. Empty takes it out. For regular expressions \\1 is "
        "the first group."
    )
    find_as: str = setting(
        PLAIN,
        doc="text: wherever it stands. whole tag: only a tag that is the same, whatever its case "
        "and underscores. regular expression: a pattern; one that takes too long is stopped.",
        choices=(PLAIN, WHOLE_TAG, REGEX),
    )
    match_case: bool = setting(
        False, doc="Whether capital letters count when text or a regular expression is looked for."
    )
    trigger: str = setting(
        "", doc="The word that shall stand in front of every caption. One that is there already "
        "is not repeated; one that is a later tag is moved to the front."
    )
    append: str = setting(
        "", doc="Tags that shall stand at the end of every caption; not repeated either."
    )
    remove_tags: str = setting(
        "",
        doc="Tags to take out, with commas or line breaks between. * stands for any letters: "
        "*background takes out all of these.",
        multiline=True,
    )
    remove_identity: bool = setting(
        False,
        doc="Take out tags that say who somebody is: hair, eyes, skin, face, body, age. For a "
        "character, so that the trigger learns them. The help page has the list.",
    )
    remove_duplicates: bool = setting(
        False, doc="Keep only the first of tags that are the same."
    )
    order: str = setting(
        AS_IS,
        doc="Order of the tags behind the kept ones. common first: those in most captions. "
        "shuffled: at random, for every picture the same with the same seed.",
        choices=(AS_IS, A_TO_Z, COMMON_FIRST, RARE_FIRST, SHUFFLED),
    )
    keep_tokens: int = setting(
        0,
        doc="How many tags at the start are neither moved nor taken out, the trigger not counted. "
        "Tags before ||| are kept as well.",
        minimum=0,
        maximum=1000,
    )
    seed: int = setting(
        0, doc="Decides the shuffled order.", minimum=0, maximum=2**63 - 1
    )
    spaces: str = setting(
        AS_IS,
        doc="Spaces or underscores inside of tags. Emoticons such as ^_^ and words such as score_9 "
        "stay as they are. People type spaces.",
        choices=(AS_IS, SPACES, UNDERSCORES),
        advanced=True,
    )
    escapes: str = setting(
        AS_IS,
        doc="Backslashes before brackets. Captions are trained literally, so remove them: the "
        "caption name (series) is typed as name \\(series\\).",
        choices=(AS_IS, UNESCAPED, ESCAPED),
        advanced=True,
    )
    letter_case: str = setting(
        AS_IS, doc="Write captions in lower case; the trigger stays.", choices=(AS_IS, LOWER),
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)
        for name in ("trigger", "append"):
            if "\n" in getattr(self, name).strip():
                raise ConfigError(
                    f"{name} has several lines",
                    expected="words in one line",
                    remedy="Write them in one line, with commas between",
                )
        if self.find and self.find_as == REGEX:
            from .patterns import compile_pattern

            compile_pattern(self.find, self.replace, match_case=self.match_case)
