"""Lint rules that ask the model's tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

LONG = ", ".join(["a girl", *(f"very long hair{i}, looking at viewer" for i in range(12))])


@pytest.fixture
def report(comfy: Path, tmp_path: Path) -> Any:
    """Findings by rule, for these captions and SDXL's tokenizer, or another."""
    from lora_kiln.dataset.buckets import BucketSettings
    from lora_kiln.dataset.lint.context import LintContext, LintSettings
    from lora_kiln.dataset.lint.rule import rules
    from lora_kiln.dataset.scan import scan_folder
    from lora_kiln.host.progress import ComfyProgress
    from lora_kiln.host.tokens import bundled_counter

    def make(rule: str, captions: list[str], tokens: Any = None, **settings: Any) -> Any:
        for number, caption in enumerate(captions):
            Image.new("RGB", (16, 16)).save(tmp_path / f"{number}.png")
            (tmp_path / f"{number}.txt").write_text(caption, encoding="utf-8")
        context = LintContext(
            dataset=scan_folder(tmp_path, name="d"), settings=LintSettings(**settings),
            buckets=BucketSettings(), progress=ComfyProgress(),
            tokens=tokens or bundled_counter(),
        )
        return list(rules()[rule].check(context))

    return make


def test_too_many_tokens(report: Any) -> None:
    (finding,) = report("too-many-tokens", [LONG, "short hair"])
    assert finding.items == ("0.png",)
    assert finding.data["capacity"] == 75
    assert finding.data["tokens"] > 75


def test_a_cut_tag_is_named(report: Any) -> None:
    filler = ", ".join(["hat"] * 37)
    (finding,) = report("cut-tag", [f"{filler}, short hair, coat", f"a, {filler}, coat, hat"])
    assert finding.items == ("0.png",)
    assert finding.data["cuts"] == ["'short | hair'"]


def test_no_chunks_no_cuts(report: Any, tiny_zimage_demo: Any) -> None:
    from lora_kiln.host.tokens import token_counter

    counter = token_counter(tiny_zimage_demo.clip)
    for rule in ("cut-tag", "too-many-tokens"):
        assert report(rule, [LONG * 3], tokens=counter) == []


def test_tokens_of_the_trigger(report: Any) -> None:
    (finding,) = report("trigger-tokens", ["x"], trigger="sportrait-laz")
    assert finding.level == "info"
    assert finding.data["tokens"] == ["spor", "trait", "-", "la", "z"]
    (finding,) = report("trigger-tokens", ["x"], trigger="girl")
    assert "single token" in finding.text
    assert report("trigger-tokens", ["x"]) == []


def test_case_that_clip_does_not_see(report: Any, tiny_zimage_demo: Any) -> None:
    from lora_kiln.host.tokens import token_counter

    captions = ["Red hair", "red hair", "red hair"]
    assert report("mixed-case", captions)[0].level == "info"
    counter = token_counter(tiny_zimage_demo.clip)
    assert report("mixed-case", captions, tokens=counter)[0].level == "warning"


def test_counters_do_not_keep_a_text_encoder(comfy: Path, report: Any) -> None:
    import gc
    import weakref

    from lora_kiln.host.tokens import token_counter
    from lora_kiln.tests.host.tiny_sdxl import make_clip

    clip = make_clip()
    kept = weakref.ref(clip)
    report("too-many-tokens", [LONG], tokens=token_counter(clip))
    del clip
    gc.unfreeze()
    gc.collect()
    assert kept() is None
