"""Words put in the place of one in the prompt, as the X/Y/Z plot of A1111's web UI does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...core.errors import ConfigError
from ..axis import Axis, Target
from ..axis_values import MOST_VALUES
from ..cell_settings import CellSettings
from ..text_values import parse_quoted

WHAT = "The replace axis"
LONGEST_SHOWN = 120


def parse(text: str, _known: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of the searched text, which is the first item, and what stands in its place."""
    items = parse_quoted(text, WHAT)
    if not items or not items[0].strip():
        raise ConfigError(
            f"{WHAT} does not say what to search",
            expected="words parted by commas, the first of them in the prompt",
            remedy="Write for example: woodcut, photograph, watercolour",
        )
    if len(items) > MOST_VALUES:
        raise ConfigError(
            f"{WHAT} has {len(items)} values",
            expected=f"1 to {MOST_VALUES}",
            remedy="Take fewer",
        )
    return [(items[0], item) for item in items]


def put_in_place(settings: CellSettings, value: tuple[str, str]) -> CellSettings:
    """Replace every occurrence, in the prompt and in the negative prompt.

    Raises:
        ConfigError: the searched text stands in neither.
    """
    searched, put = value
    if searched not in settings.prompt and searched not in settings.negative:
        prompt = settings.prompt
        shown = prompt if len(prompt) <= LONGEST_SHOWN else f"{prompt[:LONGEST_SHOWN]}…"
        raise ConfigError(
            f"{WHAT} searches {searched!r}, and the prompt is {shown!r}",
            expected="its first words in the prompt or in the negative prompt, letter by letter",
            remedy="Write them into the prompt, or correct the first entry of the axis",
        )
    return replace(
        settings,
        prompt=settings.prompt.replace(searched, put),
        negative=settings.negative.replace(searched, put),
    )


AXIS = Axis(
    name="replace",
    title="Replace",
    doc="Words to try in the prompt, parted by commas. The first is searched in the prompt and in "
    "the negative prompt, and each of them, the first itself too, is put in its place. Entries "
    'with commas stand in double quotes; "" leaves the words out.',
    default="woodcut, photograph, watercolour",
    parse=parse,
    targets=(
        Target(apply=put_in_place, label=lambda value: value[1] or f"(without {value[0]})"),
    ),
    multiline=True,
    late=True,
)
