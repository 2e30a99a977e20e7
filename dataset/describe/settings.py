"""What a vision model is asked, and what becomes of its answer."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.settings import setting, validate
from ..captions import ALL, MODES

DEFAULT_PROMPT = "Describe this picture in one or two sentences."
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class DescribeSettings:
    """One request for all pictures."""

    prompt: str = setting(
        DEFAULT_PROMPT, multiline=True,
        doc="What the model is asked about every picture. Florence-2 knows tasks instead, such "
        "as <CAPTION> or <MORE_DETAILED_CAPTION>.",
    )
    trigger: str = setting(
        "", doc="Written before the description, once: the rare word that will call up what is "
        "trained.",
    )
    variable: str = setting(
        "", doc="Empty writes the caption. A name such as subject keeps the captions and fills "
        "{subject} in caption templates with the answer.",
    )
    answers: str = setting(
        "", doc="The only answers allowed, separated by commas, such as: woman, man, child. "
        "Whatever else is said around it, the one that is named is taken. Empty allows any text.",
    )
    fallback: str = setting(
        "", doc="Taken where the model names none of the allowed answers, or several. Empty "
        "makes that an error that names the pictures.",
    )
    apply_to: str = setting(
        ALL, choices=MODES,
        doc="Ask about all pictures, or only those whose caption (or variable) is missing or "
        "empty.",
    )
    seed: int = setting(
        0, minimum=0, maximum=LARGEST_SEED,
        doc="Start of the random choice of words where temperature is above 0. Every picture has "
        "its own draw, whatever the order of the pictures.",
    )
    max_tokens: int = setting(
        256, minimum=1, maximum=8192, step=1, advanced=True,
        doc="Longest answer in tokens, about three quarters of a word each. One that is cut off "
        "is shortened to its last whole sentence.",
    )
    temperature: float = setting(
        0.0, minimum=0.0, maximum=2.0, step=0.05, advanced=True,
        doc="0 always takes the likeliest word: the same answer each time. Higher varies, and "
        "invents more.",
    )
    top_p: float = setting(
        0.95, minimum=0.01, maximum=1.0, step=0.01, advanced=True,
        doc="With temperature above 0: words are drawn from the likeliest that together have "
        "this probability.",
    )
    trim_openings: bool = setting(
        True, advanced=True,
        doc="Take off openings such as 'The image shows', which would be trained as words.",
    )
    longest_side_px: int = setting(
        1024, minimum=64, maximum=4096, step=64, advanced=True,
        doc="Larger pictures are shown to the model scaled down to this. More shows small "
        "things, and takes time and memory.",
    )

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a field is out of its range.
        """
        validate(self)
