"""What is wrong with a dataset, as a node."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..dataset.lint.context import LintSettings
from .inputs import inputs_of, settings_of
from .types import KILN_DATASET


class KilnLintDataset(io.ComfyNode):
    """Looks for everything that would spoil a training, and mends what it is told to."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the dataset is for, what may be changed, and the report three times over."""
        return io.Schema(
            node_id="KilnLintDataset",
            display_name="Lint Dataset (Kiln)",
            category="LoRA Kiln/data",
            description="Looks for what is wrong with a dataset: captions that miss their picture "
            "by a letter, clashing names, hidden colours below transparency, duplicates, pictures "
            "too small or cut, encodings, and more. Mends what you allow. Nothing is deleted, and "
            "every fix can be taken back.",
            search_aliases=["check dataset", "duplicates", "captions", "validate", "repair"],
            inputs=_inputs(),
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset",
                    tooltip="The dataset after the fixes, with what was found: training stops at "
                    "its errors.",
                ),
                io.String.Output(
                    display_name="report", tooltip="What was found and mended, the worst first."
                ),
                io.Image.Output(
                    display_name="sheet",
                    tooltip="The pictures with captions and what was found in each, those with "
                    "errors first; up to four sheets of 24.",
                ),
                io.Int.Output(display_name="errors", tooltip="How many errors are left."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, dataset: Any, fix: str = "nothing", fix_rules: str = "", undo: str = "",
        resolution: int = 1024, clip: Any = None, clip_vision: Any = None, **values: Any,
    ) -> io.NodeOutput:
        """Look, mend, tell."""
        from ..host.lint import LintRequest, lint_in_comfy
        from ..host.progress import ComfyProgress

        progress = ComfyProgress(cls.hidden.unique_id)
        outcome = lint_in_comfy(
            LintRequest(
                dataset=dataset, settings=settings_of(LintSettings, values),
                resolution_px=resolution, fix=fix, fix_rules=fix_rules, undo=undo, clip=clip,
                clip_vision=clip_vision,
            ),
            progress,
        )
        progress.say(outcome.text)
        sheets = np.stack([np.asarray(sheet) for sheet in outcome.sheets])
        counts = outcome.report.counts()
        return io.NodeOutput(
            outcome.dataset,
            outcome.text,
            torch.from_numpy(sheets).float() / 255,
            counts["error"],
            ui={"kiln_lint": [{"report": outcome.text, "counts": counts}]},
        )


def _inputs() -> list[io.Input]:
    from ..host.lint import FIX_NOTHING, FIXES

    return [
        KILN_DATASET.Input("dataset", tooltip="The pictures with their captions."),
        io.Combo.Input(
            "fix", options=list(FIXES), default=FIX_NOTHING,
            tooltip="What may be changed in the dataset's folder. Safe fixes are those that "
            "cannot be wrong: renaming a caption that fits one picture alone, converting an "
            "encoding, laying a transparent picture on the background. Every change is written "
            "down in the folder .kiln and can be taken back.",
        ),
        io.Int.Input(
            "resolution", default=1024, min=128, max=4096, step=64,
            tooltip="What will be trained at, in pixels: decides what is too small and what is "
            "cut off.",
        ),
        *inputs_of(LintSettings),
        io.String.Input(
            "fix_rules", default="", optional=True, advanced=True,
            tooltip="With 'safe fixes and these rules': names of rules, with commas between, whose "
            "other fixes are applied too, such as shared-name, exact-duplicate. Look at the "
            "report first: it says what each would do.",
        ),
        io.String.Input(
            "undo", default="", optional=True, advanced=True,
            tooltip="The id of fixes that shall be taken back, as the report of that run tells "
            "it. Then nothing is mended. Empty it again afterwards.",
        ),
        io.Clip.Input(
            "clip", optional=True,
            tooltip="The model's text encoders: counts tokens and finds tags that are cut where "
            "one chunk of the caption ends.",
        ),
        io.ClipVision.Input(
            "clip_vision", optional=True,
            tooltip="CLIP, SigLIP or DINO from the stock Load CLIP Vision node: finds pictures "
            "that do not belong to the others.",
        ),
    ]


NODES = (KilnLintDataset,)
