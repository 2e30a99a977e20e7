"""How kinds of transformers models are asked: by a chat, by a task, or by the picture alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from PIL import Image

from ...core.errors import ConfigError, HostError
from ...dataset.describe.describer import with_choice
from ...dataset.describe.settings import DEFAULT_PROMPT

FLORENCE_TASKS = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>", "<OCR>")


class Wording(Protocol):
    """How a kind of model is asked."""

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """See ``Describer.worded``."""

    def inputs(self, processor: Any, image: Image.Image, text: str) -> Any:
        """What the model's ``generate`` takes."""


class Chat:
    """LLaVA, Qwen-VL, Gemma, Idefics, SmolVLM and most others: the processor's chat template."""

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """Free text."""
        return with_choice(prompt or DEFAULT_PROMPT, answers)

    def inputs(self, processor: Any, image: Image.Image, text: str) -> Any:
        """The picture first, then the text, then the model's turn."""
        chat = _chat(processor, text)
        return processor(images=[image], text=[chat], return_tensors="pt")


def _chat(processor: Any, text: str) -> str:
    """The chat in the model's own form, with the picture's place in it exactly as it wants it.

    Raises:
        HostError: the processor has no template, or none that takes a picture.
    """
    if not getattr(processor, "chat_template", None):
        raise HostError(
            "The model's folder has no chat template",
            expected="chat_template.json or chat_template.jinja, or one in tokenizer_config.json",
            remedy="Download all files of the model again, or take its instruct version",
        )
    mark = getattr(processor, "image_token", None)
    for content in _contents(text, mark):
        messages = [{"role": "user", "content": content}]
        try:
            chat = processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
        # Templates are small programs by the model's publisher: they fail in any way they like
        # on a form of content that they do not know.
        except Exception as error:
            failure: Exception | None = error
            continue
        failure = None
        if text in str(chat) and "'type'" not in str(chat) and (not mark or mark in str(chat)):
            return str(chat)
    raise HostError(
        "The model's chat template leaves out the picture or the text",
        expected="a template that takes both",
        remedy="Take another model",
    ) from failure


def _contents(text: str, mark: str | None) -> Iterator[Any]:
    """Forms of a message, the usual one first; older templates know text alone (JoyCaption)."""
    yield [{"type": "image"}, {"type": "text", "text": text}]
    yield text
    if mark:
        yield f"{mark}\n{text}"


class Tasks:
    """Florence-2: it knows tasks, and no questions."""

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """A task; the default prompt becomes the most detailed description.

        Raises:
            ConfigError: it is a question, or another text.
        """
        if prompt in ("", DEFAULT_PROMPT) and not answers:
            return "<MORE_DETAILED_CAPTION>"
        if prompt in FLORENCE_TASKS and not answers:
            return prompt
        raise ConfigError(
            f"Florence-2 is asked {prompt!r}" + (" with allowed answers" if answers else ""),
            expected=f"one of its tasks: {', '.join(FLORENCE_TASKS)}",
            remedy="Write a task, or choose a model that answers questions, such as Qwen-VL",
        )

    def inputs(self, processor: Any, image: Image.Image, text: str) -> Any:
        """The processor turns the task into its sentence."""
        return processor(images=image, text=text, return_tensors="pt")


class Plain:
    """InstructBLIP, PaliGemma: the text as it is."""

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """Free text."""
        return with_choice(prompt or DEFAULT_PROMPT, answers)

    def inputs(self, processor: Any, image: Image.Image, text: str) -> Any:
        """Both side by side."""
        return processor(images=image, text=text, return_tensors="pt")


class Blip(Plain):
    """BLIP-2: the picture alone for a description, a question in its own form."""

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """Nothing for a description; questions as in the paper (arXiv 2301.12597, section 4.3)."""
        if prompt in ("", DEFAULT_PROMPT) and not answers:
            return ""
        question = with_choice(prompt, answers).replace("\n", " ")
        return question if question.endswith(":") else f"Question: {question} Answer:"

    def inputs(self, processor: Any, image: Image.Image, text: str) -> Any:
        """Without a text the model goes on from the picture."""
        if not text:
            return processor(images=image, return_tensors="pt")
        return super().inputs(processor, image, text)


class FirstBlip(Plain):
    """BLIP: describes, and continues a beginning."""

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """Nothing for a description; other texts are beginnings.

        Raises:
            ConfigError: it is given answers to choose from.
        """
        if answers:
            raise ConfigError(
                "BLIP is asked a question with allowed answers",
                expected="a model that answers questions",
                remedy="Choose another one, such as BLIP-2 or Qwen-VL",
            )
        return "" if prompt in ("", DEFAULT_PROMPT) else prompt

    def inputs(self, processor: Any, image: Image.Image, text: str) -> Any:
        """Without a text the model goes on from the picture."""
        if not text:
            return processor(images=image, return_tensors="pt")
        return super().inputs(processor, image, text)


_BY_TYPE: dict[str, Wording] = {
    "florence2": Tasks(),
    "blip": FirstBlip(),
    "blip-2": Blip(),
    "instructblip": Plain(),
    "paligemma": Plain(),
}


def wording_of(model_type: str) -> Wording:
    """How a kind of model is asked."""
    return _BY_TYPE.get(model_type, Chat())
