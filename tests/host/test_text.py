"""Captions are text and nothing else."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch

TEXTS = [
    "a red circle",
    "",
    "a (red) circle",
    "(((very))) [odd] {text}",
    "(red:1.4) circle, (blue:0)",
    r"a \(tag\) from a booru, back\slash",
    "a ( b ) ) ( c",
    "ünïcödé, 赤い円, 🔥",
    "two\nlines\tand a tab",
    ", ".join(f"tag{i} (of {i}:1.{i})" for i in range(40)),
    "word " * 74 + "supercalifragilisticexpialidocious (end)",
    "x" * 400,
]


@pytest.fixture
def encoder(demo: Any) -> Any:
    from lora_kiln.host.text import ComfyTextEncoder

    return ComfyTextEncoder(demo.clip)


def stock(clip: Any, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode():
        ((hidden, extra),) = clip.encode_from_tokens_scheduled(clip.tokenize(text))
    return hidden, extra["pooled_output"]


def tokens_of(encoder: Any, clip: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tokens that an encoding really used."""
    seen: list[Any] = []
    plain = clip.encode_from_tokens_scheduled

    def record(tokens: Any) -> Any:
        seen.append(tokens)
        return plain(tokens)

    with monkeypatch.context() as patched:
        patched.setattr(clip, "encode_from_tokens_scheduled", record)
        encoder.encode(text)
    return seen[0]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_equal_to_the_stock_encoder_for_the_escaped_text(
    demo: Any, encoder: Any, text: str
) -> None:
    from lora_kiln.host.text import escape

    made = encoder.encode(text)
    hidden, pooled = stock(demo.clip, escape(text))
    assert torch.equal(made.tokens, hidden.float())
    assert made.pooled is not None
    assert torch.equal(made.pooled, pooled.float())
    assert made.tokens.shape[1] % 77 == 0
    assert not made.tokens.is_inference()


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_every_word_is_there_with_weight_one(
    demo: Any, encoder: Any, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked against the bare tokenizer, which knows no emphasis."""
    tokens = tokens_of(encoder, demo.clip, text, monkeypatch)
    assert {weight for chunks in tokens.values() for c in chunks for _, weight in c} == {1.0}
    bare = demo.clip.tokenizer.clip_l.tokenizer
    special = set(bare("")["input_ids"])
    found = [token for token, _ in chain.from_iterable(tokens["l"])]
    wanted = list(chain.from_iterable(bare(word)["input_ids"] for word in text.split(" ")))
    assert [t for t in found if t not in special] == [t for t in wanted if t not in special]


def test_brackets_are_not_emphasis(demo: Any, encoder: Any) -> None:
    literal = encoder.encode("(red:1.4) circle")
    emphatic, _ = stock(demo.clip, "(red:1.4) circle")
    plain, _ = stock(demo.clip, "red circle")
    assert not torch.equal(literal.tokens, emphatic)
    assert not torch.equal(literal.tokens, plain)


def test_embedding_is_a_word(
    demo: Any, encoder: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of that name lies in the embeddings folder, and is not loaded."""
    from safetensors.torch import save_file

    tensors = {"clip_l": torch.ones(2, 96), "clip_g": torch.ones(2, 160)}
    save_file(tensors, tmp_path / "mine.safetensors")
    for part in (demo.clip.tokenizer.clip_l, demo.clip.tokenizer.clip_g):
        monkeypatch.setattr(part, "embedding_directory", [str(tmp_path)])
    text = "a embedding:mine circle"
    stock_tokens = demo.clip.tokenize(text)["l"][0]
    assert any(isinstance(token, torch.Tensor) for token, _ in stock_tokens)
    ours = tokens_of(encoder, demo.clip, text, monkeypatch)["l"][0]
    assert not any(isinstance(token, torch.Tensor) for token, _ in ours)
    bare = demo.clip.tokenizer.clip_l.tokenizer
    words = bare("embedding:mine")["input_ids"][1:-1]
    ids = [token for token, _ in ours]
    assert any(ids[i : i + len(words)] == words for i in range(len(ids)))
    assert torch.equal(encoder.encode(text).tokens, encoder.encode(text).tokens)
    assert demo.clip.tokenizer.clip_l.embedding_identifier == "embedding:"


def test_the_tokenizer_is_put_back_after_an_error(
    demo: Any, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_tokens: Any) -> Any:
        raise RuntimeError("boom")

    before = {name: dict(vars(getattr(demo.clip.tokenizer, name))) for name in ("clip_l", "clip_g")}
    monkeypatch.setattr(demo.clip, "encode_from_tokens_scheduled", fail)
    with pytest.raises(RuntimeError, match="boom"):
        encoder.encode("x")
    for name, values in before.items():
        assert vars(getattr(demo.clip.tokenizer, name)).keys() == values.keys()
        assert getattr(demo.clip.tokenizer, name).embedding_identifier == "embedding:"


def test_control_characters_are_dropped(encoder: Any) -> None:
    assert torch.equal(encoder.encode("a\x00b\x07c").tokens, encoder.encode("abc").tokens)


def test_prompts_keep_their_emphasis(demo: Any) -> None:
    from lora_kiln.host.text import encode_prompt

    ((hidden, _),) = encode_prompt(demo.clip, "(red:1.4) circle")
    assert torch.equal(hidden, stock(demo.clip, "(red:1.4) circle")[0])
