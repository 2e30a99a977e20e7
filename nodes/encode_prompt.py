"""Prompts encoded as captions were in training."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dataset.token_layout import CHUNKS, WHOLE_TAGS

PROMPT, LITERAL = "as a prompt", "literally"


class KilnEncodePrompt(io.ComfyNode):
    """Encodes a prompt in chunks that end between tags."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A prompt, and the two ways in which it can be read."""
        return io.Schema(
            node_id="KilnEncodePrompt",
            display_name="Encode Prompt (Kiln)",
            category="LoRA Kiln/captions",
            description="Encodes a prompt as captions were encoded in a training whose "
            "caption_chunks was set to whole tags. Up to 75 tokens, and with chunks set to stock, "
            "it is the stock CLIP Text Encode.",
            search_aliases=["clip text encode", "prompt", "conditioning", "BREAK", "chunks"],
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoders; come with the model."),
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="The prompt: tags with commas between.",
                ),
                io.Combo.Input(
                    "chunks",
                    options=list(CHUNKS),
                    default=WHOLE_TAGS,
                    tooltip="As caption_chunks was set in Train LoRA. whole tags: a prompt of more "
                    "than 75 tokens is cut only between tags; the stock encode node cuts after "
                    "75 tokens and gives a different result for it. stock: as that one.",
                ),
                io.Combo.Input(
                    "reading",
                    options=[PROMPT, LITERAL],
                    default=PROMPT,
                    tooltip="as a prompt: (word:1.2) is emphasis, \\( is a bracket and embedding: "
                    "loads one, as in the stock node. literally: every character is text, as in "
                    "captions.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="conditioning", tooltip="For positive or negative of a sampler."
                ),
                io.String.Output(
                    display_name="token_count",
                    tooltip="How many tokens the text has, and the chunks of the stock node, "
                    "taken literally.",
                ),
            ],
        )

    @classmethod
    def execute(cls, clip: Any, text: str, chunks: str, reading: str) -> io.NodeOutput:
        """Encode it."""
        from ..dataset.summary import marked_caption
        from ..host.text import encode_literally, encode_prompt
        from ..host.tokens import token_counter

        if reading == LITERAL:
            made = encode_literally(clip, text, chunks == WHOLE_TAGS)
        else:
            made = encode_prompt(clip, text, chunks)
        return io.NodeOutput(made, marked_caption(text, token_counter(clip)))


NODES = (KilnEncodePrompt,)
