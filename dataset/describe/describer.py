"""A model that looks at a picture and answers: what every caption backend fulfils."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        text: what is asked, worded for the model.
        seed: 0 to 2**63 - 1, of the draw of words.
        max_tokens: longest answer.
        temperature: 0 takes the likeliest word each time.
        top_p: share of probability that words are drawn from.
    """

    text: str
    seed: int
    max_tokens: int
    temperature: float
    top_p: float


@dataclass(frozen=True)
class Reply:
    """What the model wrote.

    Attributes:
        text: as it came, without special tokens.
        finished: whether the model ended by itself, and not at ``max_tokens``.
    """

    text: str
    finished: bool


class Describer(Protocol):
    """A model that is ready to be asked. It is loaded when it is first asked, not before."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def identity(self) -> str:
        """Hash of its weights and of everything else that decides its answers."""

    @property
    def reusable(self) -> bool:
        """Whether answers may be kept under this identity for another session."""

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """The prompt as this kind of model wants it.

        Args:
            prompt: what the person wrote.
            answers: the allowed ones; empty allows any.

        Raises:
            ConfigError: this kind of model cannot be asked that.
        """

    def describe(self, image: Image.Image, ask: Ask) -> Reply:
        """Answer about a picture of mode RGB.

        Raises:
            HostError: the model cannot look at pictures, or failed.
        """


def with_choice(prompt: str, answers: Sequence[str]) -> str:
    """A question with its allowed answers spelt out."""
    if not answers:
        return prompt
    return f"{prompt}\nAnswer with one of these and nothing else: {', '.join(answers)}."
