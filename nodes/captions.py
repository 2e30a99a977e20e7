"""Captions as nodes."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..core.errors import ConfigError
from ..dataset.captions import ALL, MODES, apply_template, parse_template
from ..dataset.summary import preview_captions
from .types import KILN_DATASET

COUNTS_TOKENS = (
    "The text encoders of the model you train: the preview then counts tokens, such as 73/75, and "
    "shows by ┃ where a chunk ends."
)


class KilnTemplateCaptions(io.ComfyNode):
    """Writes captions from a sentence with variables."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A template and the values that are the same for all pictures."""
        return io.Schema(
            node_id="KilnTemplateCaptions",
            display_name="Template Captions (Kiln)",
            category="LoRA Kiln/captions",
            description="Writes the captions of all pictures from one template. Files are not "
            "changed. What comes out is what you type later, word for word, to get the style or "
            "subject.",
            search_aliases=["caption", "trigger word", "prompt template"],
            inputs=[
                KILN_DATASET.Input("dataset", tooltip="The pictures to be captioned."),
                io.String.Input(
                    "template",
                    default="{trigger}, {caption}",
                    multiline=True,
                    tooltip="The caption with variables: {trigger}, {subject}, {caption} (what "
                    "stands in the picture's text file), every column of metadata.csv and what "
                    "Tag Captions or Describe Captions filled. {caption|tags:12} takes the first "
                    "12 tags; the help lists more. Write {{ and }} for braces in the text.",
                ),
                io.String.Input(
                    "trigger",
                    default="",
                    tooltip="The value of {trigger}: a rare word that will call up what is "
                    "trained, such as lazdraw.",
                ),
                io.String.Input(
                    "default_subject",
                    default="",
                    tooltip="The value of {subject} for pictures that are in no sub-folder and "
                    "have none in metadata.csv.",
                ),
                io.Combo.Input(
                    "apply_to",
                    options=list(MODES),
                    default=ALL,
                    advanced=True,
                    tooltip="Write all captions, or only the missing and empty ones and keep the "
                    "others as they are.",
                ),
                io.Clip.Input("clip", optional=True, tooltip=COUNTS_TOKENS),
            ],
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset", tooltip="The same pictures with the new captions."
                ),
                io.String.Output(
                    display_name="preview", tooltip="The first captions, to be looked at."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, template: str | None = None) -> bool | str:
        """Refuse a malformed template before the graph runs; a linked one comes as None."""
        try:
            if template is not None:
                parse_template(template)
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, dataset: Any, template: str, trigger: str, default_subject: str, apply_to: str,
        clip: Any = None,
    ) -> io.NodeOutput:
        """Fill in the template."""
        from ..host.tokens import counter_of

        captioned = apply_template(
            dataset, template, trigger=trigger, default_subject=default_subject, mode=apply_to
        )
        return io.NodeOutput(captioned, preview_captions(captioned, tokens=counter_of(clip)))


NODES = (KilnTemplateCaptions,)
