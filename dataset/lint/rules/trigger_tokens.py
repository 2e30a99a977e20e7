"""How the text encoder reads the trigger."""

from __future__ import annotations

from collections.abc import Iterator

from ..context import LintContext
from ..finding import INFO, Finding
from ..rule import TOKENS, Rule


def _check(context: LintContext) -> Iterator[Finding]:
    trigger = context.settings.trigger.strip()
    if not trigger or context.tokens is None:
        return
    layout = context.tokens.layout(trigger)
    tokens = [token.text for chunk in layout.chunks for token in chunk]
    meaning = (
        " It is a single token, so that the model has most likely seen it: draw a picture with "
        "this word alone before you train." if len(tokens) == 1 else ""
    )
    yield Finding(
        "trigger-tokens",
        INFO,
        f"The trigger {trigger!r} is read as {len(tokens)} token{'s' * (len(tokens) != 1)}: "
        f"{' | '.join(tokens)}.{meaning}",
        data={"tokens": tokens},
    )


RULE = Rule(
    name="trigger-tokens",
    doc="Into how many tokens the trigger falls, and which. Nothing is wrong with several: hardly "
    "any trigger is a single one.",
    check=_check,
    needs=TOKENS,
    levels=(INFO,),
)
