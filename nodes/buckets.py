"""Training sizes as nodes: chosen, and looked at before anything is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..dataset.bucket_settings import BucketChoices
from .inputs import inputs_of, settings_of
from .types import KILN_BUCKETS, KILN_DATASET

CATEGORY = "LoRA Kiln/data"


class KilnBucketSettings(io.ComfyNode):
    """Which sizes pictures are trained at."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs come from ``BucketChoices``."""
        return io.Schema(
            node_id="KilnBucketSettings",
            display_name="Bucket Settings (Kiln)",
            category=CATEGORY,
            description="Which sizes pictures are brought to for training: several resolutions "
            "at once, finer or coarser shapes, limits of the sides, enlarging. Left alone, they "
            "follow from the resolution and the connected model.",
            search_aliases=["aspect ratio", "multi resolution", "crop"],
            inputs=list(inputs_of(BucketChoices)),
            outputs=[
                KILN_BUCKETS.Output(
                    display_name="buckets",
                    tooltip="Connect it to Train LoRA, and to Preview Buckets to look at it first.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, more_resolutions: str | None = None) -> bool | str:
        """Refuse what is no list of resolutions before the graph runs."""
        from ..core.errors import ConfigError

        try:
            BucketChoices(more_resolutions=more_resolutions or "")
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        """The settings."""
        return io.NodeOutput(settings_of(BucketChoices, values))


class KilnPreviewBuckets(io.ComfyNode):
    """Draws what each picture loses, and how many pictures each size has."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A dataset and the settings of the training it is for."""
        return io.Schema(
            node_id="KilnPreviewBuckets",
            display_name="Preview Buckets (Kiln)",
            category=CATEGORY,
            description="Shows the sizes your pictures will be trained at: how many there are of "
            "each, and picture by picture what is cut off. Nothing is trained.",
            search_aliases=["aspect ratio", "crop", "bucket"],
            inputs=[
                KILN_DATASET.Input("dataset", tooltip="The pictures."),
                io.Int.Input(
                    "resolution", default=1024, min=128, max=4096, step=64,
                    tooltip="The same as in Train LoRA: 1024 for SDXL and Z-Image.",
                ),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=256,
                    tooltip="The same as in Train LoRA. Sizes that have fewer pictures are marked.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model that will be trained: sizes then come in the steps that "
                    "suit it. Without it, in those of SDXL.",
                ),
                KILN_BUCKETS.Input(
                    "buckets", optional=True, tooltip="From Bucket Settings, if you train with it."
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="pages",
                    tooltip="First how many pictures each size has, then the pictures, those that "
                    "lose most first; what is cut off is tinted.",
                ),
                io.String.Output(display_name="summary", tooltip="The same in words."),
                io.Float.Output(
                    display_name="lost",
                    tooltip="How much of a picture is cut off on average, 0 to 1.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, dataset: Any, resolution: int, batch_size: int, model: Any = None,
        buckets: BucketChoices | None = None,
    ) -> io.NodeOutput:
        """Plan, draw and describe."""
        from ..dataset.bucket_plan import describe_plan, plan_buckets
        from ..dataset.bucket_sheet import draw_bucket_pages
        from ..host.model import family_of
        from ..host.progress import ComfyProgress

        step = {} if model is None else {
            "family_step_px": family_of(model).training.bucket_step_px
        }
        plan = plan_buckets(
            dataset, (buckets or BucketChoices()).at(resolution, **step), batch_size=batch_size,
            progress=ComfyProgress(cls.hidden.unique_id),
        )
        pages = [np.asarray(page) for page in draw_bucket_pages(plan, dataset.background)]
        images = torch.from_numpy(np.stack(pages)).to(torch.float32) / 255
        return io.NodeOutput(images, describe_plan(plan), plan.lost_fraction())


NODES = (KilnBucketSettings, KilnPreviewBuckets)
