"""What all captions say, judged by what is trained."""

from __future__ import annotations

from collections.abc import Iterator

from ...identity_tags import is_identity
from ...items import TRAIN
from ..context import CHARACTER, STYLE, LintContext
from ..finding import INFO, WARNING, Finding
from ..phrases import common_phrases
from ..rule import Rule

FEWEST, SHARE = 5, 0.8
_MOST_NAMED = 8


def _check(context: LintContext) -> Iterator[Finding]:
    captions = [i.caption for i in context.dataset.items if i.role == TRAIN and i.caption]
    trains = context.settings.trains
    # Of a style, near-identical captions are the method: what they all say goes into it.
    if trains == STYLE or len(captions) < FEWEST:
        return
    found = common_phrases(captions, SHARE, without=context.settings.trigger)
    if not found:
        return
    named = ", ".join(f"'{text}' ({count})" for text, count in found[:_MOST_NAMED])
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    identity = [text for text, _ in found if is_identity(text)]
    yield Finding(
        "captions-alike",
        WARNING if trains == CHARACTER else INFO,
        f"Most of the {len(captions)} captions say the same: {named}{more}. "
        + _meaning(trains, identity),
        data={"phrases": [{"text": text, "captions": count} for text, count in found]},
    )


def _meaning(trains: str, identity: list[str]) -> str:
    if trains != CHARACTER:
        return (
            "What is said every time is learned by these words together with the trigger. Leave "
            "out what belongs to the concept itself."
        )
    who = f", above all {', '.join(identity[:3])}," if identity else ""
    return (
        f"What belongs to the character{who} is learned by these words and taken from the "
        "trigger: leave it out, for example with Edit Captions."
    )


RULE = Rule(
    name="captions-alike",
    doc="Phrases in at least 80 % of the captions. For a style that is the method and no finding. "
    "For a character they take from the trigger what it should learn; for a concept they are "
    "only named.",
    check=_check,
    levels=(WARNING, INFO),
)
