"""Errors that a person reads: what was found, what was expected, what to do."""

from __future__ import annotations


class KilnError(ValueError):
    """Bad input, told in one paragraph.

    Args:
        found: what stands there, with the offending value or file name.
        expected: what would have been right.
        remedy: the next thing the person should do.
    """

    def __init__(self, found: str, *, expected: str, remedy: str) -> None:
        self.found = found
        self.expected = expected
        self.remedy = remedy
        super().__init__(f"{_sentence(found)} Expected {_sentence(expected)} {_sentence(remedy)}")


class ConfigError(KilnError):
    """A setting is out of its range, or two settings contradict each other."""


class DatasetError(KilnError):
    """A picture, a caption or a folder cannot be used as training material."""


class LoraFormatError(KilnError):
    """A LoRA file, or what should become one, is not what it should be."""


class HostError(KilnError):
    """The model or the ComfyUI around it cannot do what was asked."""


class StateError(KilnError):
    """Saved training state does not belong to this run, or is damaged."""


class MissingLibrary(KilnError):
    """An optional library is needed and not installed."""

    def __init__(self, library: str, purpose: str) -> None:
        super().__init__(
            f"The Python library '{library}' is not installed",
            expected=f"it to be there, because {purpose}",
            remedy=f"Install it into the Python that runs ComfyUI: pip install {library}",
        )


class TrainingDiverged(RuntimeError):
    """The loss stopped being a number several times in a row."""


def _sentence(text: str) -> str:
    """Close a sentence with exactly one full stop."""
    return text.rstrip(" .") + "."


def shorten(names: list[str], limit: int = 3) -> str:
    """Name the first few and count the rest: ``a, b, c and 4 more``."""
    shown = ", ".join(names[:limit])
    rest = len(names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
