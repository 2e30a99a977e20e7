"""What stops a training: errors that are found at once, and those that a lint has found before."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.errors import DatasetError, shorten
from ...core.protocols import Progress
from ..bucket_settings import BucketSettings
from ..items import Dataset
from .context import LintContext, LintSettings
from .finding import ERROR, Finding
from .rule import rules
from .run import LEFT_OUT, lint

STOP, TRAIN_ANYWAY = "stop", "train anyway"
ON_ERRORS = (STOP, TRAIN_ANYWAY)
_TOLD_BY_TRAINING = ("missing-caption", "small-picture")
"""Training cannot do without, whatever the person says, and tells it in its own words. What is too
small depends on its resolution, which need not be the one that the lint was told.
"""
_MOST_NAMED = 6


def require_sound(dataset: Dataset, progress: Progress) -> None:
    """Refuse a dataset with errors.

    Rules that need no pixels are run now, on what is there now. Of a report that the dataset
    carries only the rest counts, and only for pictures that are still there.

    Raises:
        DatasetError: it has some; the first few are told in full.
    """
    errors = list(_errors(dataset, progress))
    if not errors:
        return
    shown = " ".join(_told(finding) for finding in errors[:_MOST_NAMED])
    rest = len(errors) - _MOST_NAMED
    more = f" And {rest} more." if rest > 0 else ""
    fixable = any(finding.fix is not None for finding in errors)
    how = "mend them there or with kiln.py lint" if fixable else "mend them"
    count = f"{len(errors)} errors" if len(errors) > 1 else "an error"
    raise DatasetError(
        f"The dataset '{dataset.name}' has {count}: {shown}{more}",
        expected="a dataset that trains what you see",
        remedy=f"Look at them with Lint Dataset (KilnLintDataset) and {how}; or set "
        f"dataset_errors of the training node to '{TRAIN_ANYWAY}'",
    )


def _errors(dataset: Dataset, progress: Progress) -> Iterator[Finding]:
    context = LintContext(
        dataset=dataset,
        settings=LintSettings(without=", ".join([*_TOLD_BY_TRAINING, *_left_out(dataset)])),
        buckets=BucketSettings(),
        progress=progress,
    )
    yield from lint(context, without_pixels=True).errors
    if dataset.lint is None:
        return
    known, there = rules(), {item.name for item in dataset.items}
    for finding in dataset.lint.errors:
        rule = known.get(finding.rule)
        if rule is None or not rule.decodes or rule.name in _TOLD_BY_TRAINING:
            continue
        if there.intersection(finding.items):
            yield finding


def _left_out(dataset: Dataset) -> list[str]:
    """Rules that the person left out of the lint: training does not know better."""
    skipped = dataset.lint.skipped if dataset.lint is not None else {}
    return [name for name, why in skipped.items() if why == LEFT_OUT and name in rules()]


def _told(finding: Finding) -> str:
    if finding.level != ERROR or finding.fix is None:
        return finding.text
    return f"{finding.text} (Can be mended: {shorten([finding.fix.text])}.)"
