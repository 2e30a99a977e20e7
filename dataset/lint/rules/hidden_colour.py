"""Transparent parts with colours below them."""

from __future__ import annotations

from collections.abc import Iterator

from ...items import DatasetItem, PictureAlpha
from ..as_png import png_fix
from ..context import LintContext
from ..finding import ERROR, INFO, Finding
from ..looks import Hidden
from ..rule import Rule

NAME = "hidden-colour"
_LEAST_SHARE = 0.002


def _check(context: LintContext) -> Iterator[Finding]:
    for item, look in context.looks.over(context.dataset, context.progress):
        if look.hidden is not None and look.hidden.share >= _LEAST_SHARE:
            yield _finding(context, item, look.hidden)


def _finding(context: LintContext, item: DatasetItem, hidden: Hidden) -> Finding:
    colour = "#{:02x}{:02x}{:02x}".format(*hidden.colour)
    ground = context.dataset.background
    text = (
        f"{item.name} hides {colour} below {hidden.share:.0%} of its area, which is transparent. "
        f"Here it is laid on {ground}; programs that drop the transparency, as most trainers do, "
        "show that colour."
    )
    data = {"share": round(hidden.share, 4), "colour": colour, "background": ground}
    if isinstance(item.mask, PictureAlpha):
        # The transparency is wanted: it says which parts are trained on.
        return Finding(NAME, INFO, text, (item.name,), data=data)
    fix = png_fix(context, item, f"lay on {ground}:", safe=True)
    return Finding(NAME, ERROR, text, (item.name,), fix=fix, data=data)


RULE = Rule(
    name=NAME,
    doc="A transparent picture with colours hidden below the transparency, which come out when a "
    "program drops it: a white drawing with a black or magenta ground. An error even though this "
    "pack lays it on your background, since nobody sees what other programs will.",
    check=_check,
    levels=(ERROR, INFO),
    fixes="lays the picture on the background that you chose and writes it as PNG; what is "
    "trained here stays the same, pixel for pixel",
    decodes=True,
)
