"""Looking through a dataset: pictures, captions and marks, in the browser and on a sheet."""

from __future__ import annotations

import dataclasses
from typing import Any

from comfy_api.latest import io

from ..core.errors import DatasetError
from ..dataset.review import ACCEPTED, read_decisions
from .types import KILN_DATASET

KEEP_ALL, KEEP_ACCEPTED = "all", "accepted only"


class KilnReviewDataset(io.ComfyNode):
    """A grid in the browser: read, edit, accept or set aside, picture by picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A dataset, and what else is known about its pictures."""
        return io.Schema(
            node_id="KilnReviewDataset",
            display_name="Review Dataset (Kiln)",
            category="LoRA Kiln/data",
            description="Shows every picture with its caption and its lint marks. Captions are "
            "edited in place and saved to their files; a picture that is turned down moves to the "
            "folder rejected. Everything can be taken back.",
            search_aliases=["caption editor", "contact sheet", "dataset viewer"],
            inputs=[
                KILN_DATASET.Input(
                    "dataset",
                    tooltip="The pictures to look through; after Lint Dataset with its marks.",
                ),
                io.Combo.Input(
                    "keep", options=[KEEP_ALL, KEEP_ACCEPTED], default=KEEP_ALL,
                    tooltip="Which pictures go on: all that are not rejected, or only those that "
                    "you accepted with the caption they have now.",
                ),
                io.Clip.Input(
                    "clip", optional=True,
                    tooltip="Counts the tokens of each caption, as this model cuts them.",
                ),
            ],
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset", tooltip="The pictures that were kept."
                ),
                io.Image.Output(
                    display_name="sheet",
                    tooltip="The first 200 pictures with captions and marks on one picture.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> float:
        """Looks again every time: decisions are made in the browser, between two runs."""
        return float("nan")

    @classmethod
    def execute(
        cls, dataset: Any, keep: str, clip: Any = None
    ) -> io.NodeOutput:
        """Tell the page what there is, and hand on what was kept."""
        from ..host.progress import ComfyProgress
        from ..host.review_page import marks_of, write_review
        from ..host.review_sheet import draw_review
        from ..host.tokens import counter_of

        marks = marks_of(dataset.lint)
        review = write_review(dataset, marks, counter_of(clip))
        decisions = _decisions(dataset)
        sheet = draw_review(dataset, marks, decisions, ComfyProgress(cls.hidden.unique_id))
        return io.NodeOutput(
            _kept(dataset, decisions) if keep == KEEP_ACCEPTED else dataset,
            sheet,
            ui={"kiln_review": [{"id": review, "pictures": len(dataset)}]},
        )


def _decisions(dataset: Any) -> list[str]:
    """What was decided of each picture, in order."""
    by_origin = {origin: read_decisions(origin.root) for origin in dataset.origins}
    return [
        by_origin[item.origin].of(item.file, item.caption) if item.origin in by_origin else ""
        for item in dataset.items
    ]


def _kept(dataset: Any, decisions: list[str]) -> Any:
    items = tuple(
        item for item, decision in zip(dataset.items, decisions, strict=True)
        if decision == ACCEPTED
    )
    if not items:
        raise DatasetError(
            f"None of the {len(dataset)} pictures is accepted with the caption it has",
            expected="some pictures that were accepted in the grid of Review Dataset",
            remedy=f"Accept some, or set keep to '{KEEP_ALL}'",
        )
    note = f"{len(items)} of {len(dataset)} pictures were accepted in the review."
    return dataclasses.replace(dataset, items=items).with_notes(note)


NODES = (KilnReviewDataset,)
