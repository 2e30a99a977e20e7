"""Captions by models as nodes: tags, and descriptions or answers."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..core.errors import KilnError
from ..dataset.describe.settings import DEFAULT_PROMPT, DescribeSettings
from ..dataset.summary import preview_captions
from ..dataset.tagger.session import AUTO, PROVIDERS
from ..dataset.tagger.settings import TagSettings
from ..host import caption_models, captioners
from .inputs import inputs_of, settings_of
from .types import KILN_DATASET

CATEGORY = "LoRA Kiln/captions"


class KilnTagCaptions(io.ComfyNode):
    """Tags pictures with a WD tagger."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A tagger, thresholds, and how tags are written."""
        names = caption_models.tagger_names()
        return io.Schema(
            node_id="KilnTagCaptions",
            display_name="Tag Captions (Kiln)",
            category=CATEGORY,
            description="Captions of tags by a WD tagger (Danbooru's words), for anime and "
            "illustration. Runs here, from models/wd14_tagger; nothing is downloaded. Files are "
            "not changed. What was found is kept, so that other thresholds cost nothing.",
            search_aliases=["wd14", "tagger", "danbooru", "booru", "interrogate", "caption"],
            inputs=[
                KILN_DATASET.Input("dataset", tooltip="The pictures to be tagged."),
                io.Combo.Input(
                    "model", options=names, default=names[0],
                    tooltip="A tagger in models/wd14_tagger: a folder with model.onnx and "
                    "selected_tags.csv. Those of the list that are not installed say what to "
                    "download when they are chosen. Press R to see new ones.",
                ),
                *inputs_of(TagSettings),
                io.Combo.Input(
                    "provider", options=list(PROVIDERS), default=AUTO, advanced=True,
                    optional=True,
                    tooltip="What the tagger runs on. auto takes CUDA where the installed "
                    "onnxruntime has it, else the CPU.",
                ),
                io.Int.Input(
                    "batch_size", default=4, min=1, max=64, advanced=True, optional=True,
                    tooltip="Pictures that go through the tagger together. More is faster on a "
                    "graphics card, and takes more of its memory.",
                ),
            ],
            outputs=_outputs("tags"),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None) -> bool | str:
        """Say what to download before the graph runs; a linked name comes as None."""
        try:
            if model is not None:
                caption_models.require_tagger(model)
        except KilnError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, model: str | None = None, **values: Any) -> Any:
        """Changes when the model's files are exchanged; a linked name is not known yet."""
        del values
        return float("nan") if model is None else caption_models.tagger_stamp(model)

    @classmethod
    def execute(
        cls, dataset: Any, model: str, provider: str = AUTO, batch_size: int = 4, **values: Any
    ) -> io.NodeOutput:
        """Tag the pictures."""
        from ..host.progress import ComfyProgress

        settings = settings_of(TagSettings, values)
        progress = ComfyProgress(cls.hidden.unique_id)
        tagged = caption_models.tag(dataset, model, settings, provider, batch_size, progress)
        preview = preview_captions(tagged, variable=settings.variable.strip())
        return io.NodeOutput(tagged, preview)


class KilnDescribeCaptions(io.ComfyNode):
    """Describes pictures with a vision model, or asks it a question about each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A model, a prompt, and what becomes of the answer."""
        names = captioners.model_names(caption_models.model_roots(caption_models.LANGUAGE_KEY))
        return io.Schema(
            node_id="KilnDescribeCaptions",
            display_name="Describe Captions (Kiln)",
            category=CATEGORY,
            description="Captions in sentences by a vision model, or the answer to a question "
            "about each picture as a variable for Template Captions: woman, man or child? Runs "
            "here, with ComfyUI's own text encoders or a model in models/LLM; nothing is "
            "downloaded. Files are not changed. Every answer is kept.",
            search_aliases=["vlm", "florence", "qwen", "joycaption", "blip", "llava", "caption"],
            inputs=[
                KILN_DATASET.Input("dataset", tooltip="The pictures to be described."),
                io.Combo.Input(
                    "model", options=names, default=names[0],
                    tooltip="The CLIP that is connected (Qwen3-VL and others that ComfyUI's own "
                    "Generate Text runs), or a folder in models/LLM. Press R to see new ones.",
                ),
                *inputs_of(DescribeSettings),
                io.Clip.Input(
                    "clip", optional=True,
                    tooltip="A text encoder that can look at pictures and write, from the stock "
                    "Load CLIP, for model set to connected CLIP.",
                ),
            ],
            outputs=_outputs("descriptions or answers"),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None) -> bool | str:
        """Refuse a missing or unsafe model before the graph runs; a linked one comes as None."""
        try:
            if model is not None:
                roots = caption_models.model_roots(caption_models.LANGUAGE_KEY)
                captioners.require_model(model, roots)
        except KilnError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, model: str | None = None, **values: Any) -> Any:
        """Changes when the model's files are exchanged; a linked name is not known yet."""
        del values
        return float("nan") if model is None else caption_models.model_stamp(model)

    @classmethod
    def execute(cls, dataset: Any, model: str, clip: Any = None, **values: Any) -> io.NodeOutput:
        """Describe the pictures."""
        from ..host.progress import ComfyProgress

        settings = settings_of(DescribeSettings, {"prompt": DEFAULT_PROMPT, **values})
        progress = ComfyProgress(cls.hidden.unique_id)
        described = caption_models.describe(dataset, model, clip, settings, progress)
        preview = preview_captions(described, variable=settings.variable.strip())
        return io.NodeOutput(described, preview)


def _outputs(what: str) -> list[io.Output]:
    return [
        KILN_DATASET.Output(
            display_name="dataset", tooltip=f"The same pictures with their {what}."
        ),
        io.String.Output(
            display_name="preview", tooltip=f"The first {what}, to be looked at before training."
        ),
    ]


NODES = (KilnTagCaptions, KilnDescribeCaptions)
