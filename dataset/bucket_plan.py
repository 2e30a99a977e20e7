"""Which size every picture will be trained at, before anything is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import shorten
from ..core.protocols import Progress
from .balance import balanced_repeats, shown_items
from .bucket_settings import BucketSettings
from .items import Dataset, DatasetItem
from .latents import View, view_of

Size = tuple[int, int]
"""Width and height, px."""


@dataclass(frozen=True)
class BucketPlan:
    """Every picture's place.

    Attributes:
        views: one per picture and resolution, in the dataset's order; a picture that comes out
            the same at two resolutions is there once.
        batch_size: pictures of one size that go through the model together.
    """

    views: tuple[View, ...]
    batch_size: int = 1

    def histogram(self) -> dict[Size, int]:
        """How many pictures each size has, the most first."""
        counts: dict[Size, int] = {}
        for view in self.views:
            size = (view.placement.bucket_w, view.placement.bucket_h)
            counts[size] = counts.get(size, 0) + 1
        return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))

    def too_few(self) -> dict[Size, int]:
        """Sizes that cannot fill a batch in one round, repeats counted, and their pictures."""
        shown: dict[Size, float] = {}
        for view in self.views:
            size = (view.placement.bucket_w, view.placement.bucket_h)
            shown[size] = shown.get(size, 0.0) + view.item.repeats
        return {size: n for size, n in self.histogram().items() if shown[size] < self.batch_size}

    def lost_fraction(self) -> float:
        """Part of the pictures' area that is cut off, on average."""
        lost = [view.placement.area_lost_fraction for view in self.views]
        return sum(lost) / len(lost) if lost else 0.0

    def by_loss(self) -> list[View]:
        """The pictures, those that lose most first."""
        return sorted(self.views, key=lambda view: -view.placement.area_lost_fraction)


def plan_buckets(
    dataset: Dataset,
    resolutions: Sequence[BucketSettings],
    *,
    batch_size: int = 1,
    progress: Progress | None = None,
) -> BucketPlan:
    """Look at every picture that will be shown in training and choose its sizes.

    Regularisation pictures are among them as far as :mod:`.balance` uses them: they share batches
    with the others.

    Raises:
        DatasetError: a picture or mask is damaged, or a picture is too small.
    """
    items = shown_items(dataset.items, balanced_repeats(dataset.items))
    views: list[View] = []
    for number, item in enumerate(items):
        if progress is not None:
            progress.check_cancelled()
        views += views_of(item, resolutions)
        if progress is not None:
            progress.update(number + 1, len(items))
    return BucketPlan(tuple(views), batch_size)


def views_of(item: DatasetItem, resolutions: Sequence[BucketSettings]) -> list[View]:
    """A picture at each resolution, once where several come to the same size.

    Raises:
        DatasetError: see :func:`plan_buckets`.
    """
    sizes = {(view := view_of(item, buckets)).placement: view for buckets in resolutions}
    return list(sizes.values())


def describe_plan(plan: BucketPlan) -> str:
    """The plan in a few lines: sizes, what is cut off, and what cannot fill a batch."""
    if not plan.views:
        return "There is no picture to train on."
    sizes = plan.histogram()
    worst = plan.by_loss()[0]
    lines = [
        f"{len(plan.views)} pictures in {len(sizes)} sizes. On average "
        f"{plan.lost_fraction():.1%} of a picture is cut off, at most "
        f"{worst.placement.area_lost_fraction:.1%} ({worst.item.name})."
    ]
    lines += [f"{_text(size)}: {count}" for size, count in sizes.items()]
    few = plan.too_few()
    if few:
        names = [f"{_text(size)} ({count})" for size, count in few.items()]
        lines.append(
            f"{len(few)} sizes have fewer pictures than a batch of {plan.batch_size}: "
            f"{shorten(names, 6)}. Their batches are smaller; nothing is left out."
        )
    return "\n".join(lines)


def _text(size: Size) -> str:
    return f"{size[0]} × {size[1]}"
