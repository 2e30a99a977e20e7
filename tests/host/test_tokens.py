"""The token counter against the tokens that ComfyUI itself makes of a literal text."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

MAKERS = {
    "sdxl": ("tiny_sdxl", "make_clip"),
    "sd15": ("tiny_others", "make_sd15_clip"),
    "flux1": ("tiny_others", "make_flux1_clip"),
    "z_image": ("tiny_zimage", "make_clip"),
}
READS_BY = {"sdxl": "l", "sd15": "l", "flux1": "t5xxl", "z_image": "qwen3_4b"}
WORDS = st.sampled_from([
    "hair", "1girl", "looking_at_viewer", r"rin \(fate\)", "(red:1.2)", "embedding:mine", "🔥",
    "赤い円", "ünïcödé", "e\u0301te\u0301", "don't", "x" * 90, "İstanbul", "ﬁne", "<lora:a:1>",
    "{a|b}", "\x07bell", "👩‍🎤", "№", "\u200b", "'s", "a\u0327b", "Ǆ",
])
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=120),
    st.lists(WORDS, max_size=60).map(", ".join),
    st.lists(WORDS, max_size=40).map(" ".join),
)


@cache
def made(family: str) -> tuple[Any, Any]:
    """CLIP and counter."""
    module, maker = MAKERS[family]
    clip = getattr(importlib.import_module(f"lora_kiln.tests.host.{module}"), maker)()
    return clip, importlib.import_module("lora_kiln.host.tokens").token_counter(clip)


def tokens_of_stock(clip: Any, text: str, part: str) -> list[list[int]]:
    """Real tokens of each chunk, as ComfyUI hands them to the text encoder."""
    from lora_kiln.host.text import escape

    plain = "".join(char for char in text if char >= " " or char in "\n\t")
    # Without a folder of embeddings there are none to be looked for.
    chunks = clip.tokenize(escape(plain), return_word_ids=True)[part]
    return [[token for token, _, word in chunk if word > 0] for chunk in chunks]


@pytest.mark.parametrize("family", MAKERS)
@settings(max_examples=60)
@given(text=TEXTS)
@example(text="")
@example(text="word " * 74 + "supercalifragilisticexpialidocious (end)")
@example(text="\n\n two\tlines \n")
def test_layout_is_what_comfyui_tokenizes(comfy: Path, family: str, text: str) -> None:
    clip, counter = made(family)
    for part in (clip.tokenizer, *vars(clip.tokenizer).values()):
        if hasattr(part, "embedding_directory"):
            part.embedding_directory = None
    layout = counter.layout(text)
    stock = tokens_of_stock(clip, text, READS_BY[family])
    around = 0 if family != "z_image" else 8
    assert abs(sum(map(len, stock)) - around - layout.count) <= (2 if around else 0)
    if not around:
        assert [len(chunk) for chunk in layout.chunks] == [len(chunk) for chunk in stock]
    for chunk in layout.chunks:
        assert counter.capacity is None or len(chunk) <= counter.capacity
        for token in chunk:
            assert 0 <= token.start < token.end <= len(text)
    starts = [token.start for chunk in layout.chunks for token in chunk]
    assert starts == sorted(starts)


@pytest.mark.parametrize("family", MAKERS)
def test_spans_are_the_words(comfy: Path, family: str) -> None:
    _, counter = made(family)
    text = "a Red circle, (very) old"
    layout = counter.layout(text)
    (chunk,) = layout.chunks
    covered = "".join(dict.fromkeys(text[t.start : t.end].strip() + f"@{t.start}" for t in chunk))
    for word in ("Red", "circle", "old"):
        assert any(
            text[a.start : b.end].strip() == word for i, a in enumerate(chunk) for b in chunk[i:]
        ), covered
    assert counter.capacity == (75 if family in ("sdxl", "sd15") else None)


def test_chunks_of_a_long_list(comfy: Path) -> None:
    from lora_kiln.host.tokens import bundled_counter

    text = ", ".join(["short hair"] * 40)
    for counter in (made("sdxl")[1], bundled_counter()):
        layout = counter.layout(text)
        assert [len(chunk) for chunk in layout.chunks] == [75, 44]
        assert layout.count == 119
        last = layout.chunks[0][-1]
        assert (last.text, text[last.start : last.end]) == (",", ",")
        assert layout.chunks[1][0].text == "short"


def test_control_characters_keep_their_places(comfy: Path) -> None:
    _, counter = made("sdxl")
    ((first, second),) = counter.layout("\x00\x01red \x02circle").chunks
    assert (first.start, first.end, second.start, second.end) == (2, 5, 7, 13)


def test_nothing_is_left_behind(comfy: Path) -> None:
    clip, counter = made("sdxl")
    before = [dict(vars(p)) for p in (clip.tokenizer.clip_l, clip.tokenizer.clip_g)]
    counter.layout("a (red:1.2) embedding:x circle")
    after = [dict(vars(p)) for p in (clip.tokenizer.clip_l, clip.tokenizer.clip_g)]
    assert before == after


@settings(max_examples=150)
@given(text=TEXTS)
def test_matching_letters_agrees_with_the_tokenizer(comfy: Path, text: str) -> None:
    """For tokenizers that do not know places; the new ones do, and are the yardstick."""
    from lora_kiln.host.token_places import matched, token_bytes

    clip, _ = made("sdxl")
    inner = clip.tokenizer.clip_l.tokenizer
    plain = "".join(char for char in text if char >= " " or char in "\n\t")
    answer = inner(plain, return_offsets_mapping=True)
    names = inner.convert_ids_to_tokens(answer["input_ids"])[1:-1]
    wanted = answer["offset_mapping"][1:-1]
    found = matched([token_bytes(name) for name in names], plain)
    assert len(found) == len(wanted)
    near = sum(
        (a[0] < b[1] and b[0] < a[1]) or a[0] == b[0]
        for a, b in zip(found, wanted, strict=True)
    )
    assert near >= 0.9 * len(wanted), (plain, found, wanted)


def test_matching_letters_is_exact_for_ordinary_captions(comfy: Path) -> None:
    from lora_kiln.host.token_places import matched, token_bytes

    clip, _ = made("sdxl")
    inner = clip.tokenizer.clip_l.tokenizer
    for text in (
        "masterpiece, 1girl, Rin (Fate), long hair, thighhighs", "a woodcut of two ships, 1910",
        "été, naïve café, größe",
    ):
        answer = inner(text, return_offsets_mapping=True)
        names = inner.convert_ids_to_tokens(answer["input_ids"])[1:-1]
        found = matched([token_bytes(name) for name in names], text)
        assert found == [tuple(pair) for pair in answer["offset_mapping"][1:-1]]
