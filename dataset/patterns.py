"""Regular expressions that a person writes, and that cannot hang the graph.

Python's own ``re`` has no time limit, and a pattern such as ``(a+)+$`` takes longer than the
universe on a caption of forty letters. The library ``regex``, which ComfyUI has by way of
transformers, looks at the clock while it matches: a caption gets two seconds, and a pattern that
needs more is an error that names the caption.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..core.errors import ConfigError, MissingLibrary

SECONDS_PER_CAPTION = 2.0
LONGEST_PATTERN = 2000
_MOST_GROWN = 2**20
"""A caption longer than this is no caption any more."""


@lru_cache(maxsize=16)
def compile_pattern(pattern: str, replacement: str, *, match_case: bool) -> Callable[[str], str]:
    """A function that replaces every match in a caption.

    Raises:
        ConfigError: the pattern cannot be read. The function raises it as well: for a replacement
            that does not fit, and for a caption that takes too long or becomes too long.
        MissingLibrary: ``regex`` is not installed.
    """
    try:
        import regex
    except ImportError as error:
        raise MissingLibrary("regex", "its expressions can be stopped when they hang") from error
    if len(pattern) > LONGEST_PATTERN:
        raise _bad(pattern, f"it has {len(pattern)} characters")
    try:
        flags = regex.V0 if match_case else regex.V0 | regex.IGNORECASE
        compiled = regex.compile(pattern, flags)
    except (regex.error, IndexError, OverflowError, RecursionError) as error:
        raise _bad(pattern, str(error)) from error

    def replaced(caption: str) -> str:
        try:
            text: str = compiled.sub(replacement, caption, timeout=SECONDS_PER_CAPTION)
        except TimeoutError as error:
            raise _bad(
                pattern, f"it takes more than {SECONDS_PER_CAPTION:g} s on {caption[:80]!r}"
            ) from error
        except (regex.error, IndexError) as error:
            raise _bad(pattern, f"the replacement {replacement[:80]!r}: {error}") from error
        if len(text) > _MOST_GROWN:
            raise _bad(pattern, "a caption becomes longer than a million letters")
        return text

    return replaced


def _bad(pattern: str, why: str) -> ConfigError:
    return ConfigError(
        f"The regular expression {pattern[:80]!r} cannot be used: {why}",
        expected="a pattern such as \\bgrey\\b",
        remedy="Correct it, or set find_as to text",
    )
