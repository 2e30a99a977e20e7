"""Chunks that end between tags: filled tag by tag, the same in training and in prompts."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

LONG = "a girl, " + ", ".join(f"very long hair{i}, (tag {i}), looking_at_viewer" for i in range(14))
TAGS = st.lists(
    st.sampled_from([
        "short hair", "1girl", "rin (fate)", "looking_at_viewer", "🔥", "a", "ünïcödé", "",
        "a rather long tag of many words that goes on", "x" * 60, "back\\slash", "two\nlines",
    ]),
    min_size=1, max_size=60,
).map(", ".join)


@pytest.fixture
def text(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.host.text")


@pytest.fixture
def node(comfy: Path) -> Any:
    return importlib.import_module("lora_kiln.nodes.encode_prompt").KilnEncodePrompt


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    with torch.inference_mode():
        return tuple(node.PREPARE_CLASS_CLONE(None).execute(**inputs).args)


def texts_of(clip: Any, chunks: list[Any]) -> list[str]:
    """What each chunk says."""
    inner = clip.tokenizer.clip_l.tokenizer
    return [
        inner.decode([token for token, _ in chunk], skip_special_tokens=True) for chunk in chunks
    ]


def test_no_tag_is_cut(demo: Any, text: ModuleType) -> None:
    stock = texts_of(demo.clip, demo.clip.tokenize(text.escape(LONG))["l"])
    assert not all(part.rstrip().endswith(",") for part in stock[:-1])
    tokens = text.tokenize_whole_tags(demo.clip, text.escape(LONG))
    assert tokens.keys() == {"g", "l"}
    for name, chunks in tokens.items():
        assert all(len(chunk) == 77 for chunk in chunks), name
    parts = texts_of(demo.clip, tokens["l"])
    assert all(part.rstrip().endswith(",") for part in parts[:-1])
    assert "".join(parts).replace(" ", "") == LONG.replace(" ", "")


@settings(max_examples=80)
@given(caption=TAGS)
def test_chunks_are_full_and_lose_nothing(demo: Any, caption: str) -> None:
    text: Any = importlib.import_module("lora_kiln.host.text")
    clip, prompt = demo.clip, text.escape(caption)
    assert "".join(text.tag_pieces(prompt)) == prompt
    parts = list(text.fill(text.tag_pieces(prompt), lambda part: text._fits(clip, part)))
    assert "".join("".join(parts).split()) == "".join(prompt.split())
    for part, after in pairwise(parts):
        # The next tag would not have fitted.
        assert not text._fits(clip, part + text.tag_pieces(after)[0])
    tokens = text.tokenize_whole_tags(clip, prompt)
    assert {len(chunk) for chunks in tokens.values() for chunk in chunks} == {77}
    if len(clip.tokenize(prompt)["l"]) == 1:
        assert tokens == clip.tokenize(prompt)


@pytest.mark.parametrize("reading", ["as a prompt", "literally"])
def test_training_and_prompt_agree_bit_for_bit(
    demo: Any, text: ModuleType, node: Any, reading: str
) -> None:
    from lora_kiln.dataset.token_layout import WHOLE_TAGS

    made = text.ComfyTextEncoder(demo.clip, WHOLE_TAGS).encode(LONG)
    typed = text.escape(LONG) if reading == "as a prompt" else LONG
    ((hidden, extra),), count = run(
        node, clip=demo.clip, text=typed, chunks=WHOLE_TAGS, reading=reading
    )
    assert torch.equal(made.tokens, hidden.float())
    assert torch.equal(made.pooled, extra["pooled_output"].float())
    stock = text.ComfyTextEncoder(demo.clip).encode(LONG)
    assert made.tokens.shape != stock.tokens.shape or not torch.equal(made.tokens, stock.tokens)
    assert "tokens: 75 + " in count
    assert "┃" in count


def test_stock_chunks_are_the_stock_node(demo: Any, node: Any) -> None:
    prompt = f"(masterpiece:1.3), {LONG}"
    ((hidden, extra),), _ = run(
        node, clip=demo.clip, text=prompt, chunks="stock", reading="as a prompt"
    )
    with torch.inference_mode():
        ((wanted, pooled),) = demo.clip.encode_from_tokens_scheduled(demo.clip.tokenize(prompt))
    assert torch.equal(hidden, wanted)
    assert torch.equal(extra["pooled_output"], pooled["pooled_output"])


def test_short_prompts_are_stock_and_emphasis_holds_together(demo: Any, text: ModuleType) -> None:
    short = "(red:1.3) circle, blue square"
    assert text.tokenize_whole_tags(demo.clip, short) == demo.clip.tokenize(short)
    assert text.tag_pieces(r"a, (b, c:1.2), \(d, e\)") == [
        "a,", " (b, c:1.2),", r" \(d,", r" e\)"
    ]
    weighted = text.tokenize_whole_tags(demo.clip, f"{LONG}, (b, c:1.2)")["l"]
    assert {weight for chunk in weighted for _, weight in chunk} >= {1.2}


def test_identity(demo: Any, text: ModuleType, tiny_zimage_demo: Any) -> None:
    """Cached texts of the two ways never meet; where there are no chunks, they are one."""
    from lora_kiln.dataset.token_layout import WHOLE_TAGS

    stock = text.ComfyTextEncoder(demo.clip)
    whole = text.ComfyTextEncoder(demo.clip, WHOLE_TAGS)
    assert stock.identity != whole.identity
    other = tiny_zimage_demo.clip
    assert not text.has_chunks(other)
    assert (
        text.ComfyTextEncoder(other).identity == text.ComfyTextEncoder(other, WHOLE_TAGS).identity
    )
    assert text.tokenize_whole_tags(other, LONG) == other.tokenize(LONG)


def test_a_run_says_how_captions_were_cut(demo: Any, train: Any, pictures: Any, host: Any) -> None:
    """Another cut is another run."""
    import json

    long = pictures.with_captions([LONG] * len(pictures))
    first = train(dataset=long, steps=1)
    second = train(dataset=long, steps=1, caption_chunks="whole tags")
    assert first.run.name != second.run.name
    told = json.loads((second.run.folder / "run.json").read_text("utf-8"))
    assert "whole tags" in json.dumps(told)
