"""The help page tells each score as the code does."""

from __future__ import annotations

from lora_kiln.devtools import score_docs


def test_the_page_has_every_score_with_its_caveat() -> None:
    from lora_kiln.sweep.score import scores

    page = score_docs.PAGE.read_text("utf-8")
    assert score_docs.written(page) == page, "run: python -m devtools.score_docs"
    for score in scores().values():
        assert score.title in page
        assert score.caveat in page
