"""Rules about the words of captions: found, mended where that is possible, and mended for good."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_kiln.dataset.buckets import BucketSettings
from lora_kiln.dataset.changes import apply_changes, undo
from lora_kiln.dataset.items import REGULARISATION, Dataset
from lora_kiln.dataset.lint.context import LintContext, LintSettings
from lora_kiln.dataset.lint.finding import Finding
from lora_kiln.dataset.lint.rule import rules
from lora_kiln.dataset.lint.rules.prompt_syntax import plain
from lora_kiln.dataset.scan import scan_folder


class Quiet:
    """Progress that nobody watches."""

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None: ...

    def say(self, text: str) -> None: ...

    def check_cancelled(self) -> None: ...

    def is_cancellation(self, error: BaseException) -> bool:
        return False


@pytest.fixture
def plates(tmp_path: Path) -> Callable[..., Dataset]:
    """A folder with these captions, read."""

    def make(*captions: str) -> Dataset:
        for number, caption in enumerate(captions):
            Image.new("RGB", (16, 16), (number * 20 % 255, 0, 0)).save(tmp_path / f"{number}.png")
            (tmp_path / f"{number}.txt").write_text(caption, encoding="utf-8")
        return scan_folder(tmp_path, name="plates")

    return make


def found(dataset: Dataset, rule: str, **settings: Any) -> list[Finding]:
    extra = {key: settings.pop(key) for key in ("tokens", "vision") if key in settings}
    context = LintContext(
        dataset=dataset, settings=LintSettings(**settings), buckets=BucketSettings(),
        progress=Quiet(), **extra,
    )
    return list(rules()[rule].check(context))


def mend(dataset: Dataset, finding: Finding) -> list[str | None]:
    """Apply its fix, look, undo, and see that every byte is back."""
    root = dataset.origins[0].root
    before = {path: path.read_bytes() for path in root.glob("[0-9]*")}
    assert finding.fix is not None
    made = apply_changes(root, finding.fix.changes, reason="test")
    captions = [item.caption for item in scan_folder(root, name="plates").items]
    undo(root, made.id)
    assert {path: path.read_bytes() for path in root.glob("[0-9]*")} == before
    return captions


@pytest.mark.parametrize(
    ("caption", "mended"),
    [
        ("a (red:1.2) hat", "a red hat"),
        (r"rin \(fate\), hat", "rin (fate), hat"),
        ("<lora:mine:0.8>, hat", "hat"),
        ("a, <lora:x:1> hat", "a, hat"),
        ("x ||| y, z", "x, y, z"),
        ("((a:1.1), b:1.3), c", "a, b, c"),
        (r"(saber \(fate\):1.2), hat", "saber (fate), hat"),
        ("(year 1990:1.3), (hat:1)", "year 1990, hat"),
        ("(a:1.2), b\nc, d", "a, b\nc, d"),
        ("see embedding:bad, hat", None),
        ("a {red|blue} hat", None),
        ("((very)) red", None),
    ],
)
def test_prompt_syntax(plates: Any, caption: str, mended: str | None) -> None:
    dataset = plates(caption, "a (soar99) hat, 3:4", ":) smile (cute)")
    (finding,) = found(dataset, "prompt-syntax")
    assert finding.items == ("0.png",)
    if mended is None:
        assert finding.fix is None
    else:
        assert mend(dataset, finding)[0] == mended


def test_ratios_and_verses_are_no_emphasis(plates: Any) -> None:
    dataset = plates("a still (16:9)", "wide (2.35:1), (John 3:16)", "(ratio 16:1)", "(:3)")
    assert found(dataset, "prompt-syntax") == []


def test_brackets_without_end_are_read_in_time() -> None:
    begin = time.monotonic()
    assert plain("(a" * 20_000) == "(a" * 20_000
    assert plain("(" * 2000 + "a" + ":1.2)" * 2000).startswith("(((")
    assert time.monotonic() - begin < 30


def test_underscores_in_sentences(plates: Any) -> None:
    dataset = plates("a girl with a ^_^ face, the sign reads foo_bar")
    (finding,) = found(dataset, "underscores")
    assert finding.fix is not None
    assert not finding.fix.safe
    assert mend(dataset, finding) == ["a girl with a ^_^ face, the sign reads foo bar"]


@pytest.mark.parametrize(
    "caption",
    ["In the morning a boat leaves the harbour, gulls, and so, gulls", "1girl, hat\n1girl, cap"],
)
def test_repeats_are_not_taken_out_of_sentences_and_lines_unseen(
    plates: Any, caption: str
) -> None:
    (finding,) = found(plates(caption), "duplicate-tags")
    assert finding.fix is not None
    assert not finding.fix.safe


def test_a_trigger_in_a_further_line_stays(plates: Any) -> None:
    (finding,) = found(plates("hat, cap\nsoar99, hat"), "trigger-mid-caption", trigger="soar99")
    assert finding.fix is None


def test_underscores(plates: Any) -> None:
    dataset = plates("looking_at_viewer, ^_^, score_9, my_trig", "long hair")
    (finding,) = found(dataset, "underscores", trigger="my_trig")
    assert mend(dataset, finding)[0] == "looking at viewer, ^_^, score_9, my_trig"
    assert "looking_at_viewer" in finding.text


def test_duplicates(plates: Any) -> None:
    dataset = plates("hat, red hair, Hat, red_hair", "hat")
    (finding,) = found(dataset, "duplicate-tags")
    assert mend(dataset, finding)[0] == "hat, red hair"


def test_mixed_case(plates: Any) -> None:
    dataset = plates("Red hair, hat", "red hair", "red hair, Hat", "red hair, hat")
    (finding,) = found(dataset, "mixed-case")
    assert finding.level == "warning"
    assert mend(dataset, finding) == ["red hair, hat", "red hair", "red hair, hat", "red hair, hat"]
    assert found(plates("a", "b", "c", "d"), "mixed-case") == []


def test_a_shared_caption_file_is_left_alone(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,caption\na.png,long_hair hat\n", "utf-8")
    (finding,) = found(scan_folder(tmp_path, name="p"), "underscores")
    assert finding.fix is None
    assert "It stands in metadata.csv" in finding.text


class TestTrigger:
    def test_missing_and_misspelt(self, plates: Any) -> None:
        dataset = plates(
            "lazdraw, a man", "lazdarw, a man", "Lazdraw, a dog", "laz draw, a cat", "a bird",
            "by lazdraw, a tree", "laz-draw house", "a fish, draw",
        )
        findings = found(dataset, "trigger-missing", trigger="lazdraw")
        by_items = {finding.items: finding for finding in findings}
        assert set(by_items) == {("1.png",), ("2.png",), ("3.png",), ("6.png",), ("4.png", "7.png")}
        kinds = {name: f.data.get("kind") for (name, *_), f in by_items.items()}
        assert kinds == {
            "1.png": "near", "2.png": "case", "3.png": "split", "6.png": "split", "4.png": None
        }
        safe = {name: f.fix.safe for (name, *_), f in by_items.items() if f.fix}
        assert safe == {
            "1.png": False, "2.png": True, "3.png": False, "6.png": False, "4.png": False
        }
        assert mend(dataset, by_items["1.png",])[1] == "lazdraw, a man"
        assert mend(dataset, by_items["3.png",])[3] == "lazdraw, a cat"
        assert mend(dataset, by_items["4.png", "7.png"])[4] == "lazdraw, a bird"
        assert found(dataset, "trigger-missing") == []

    def test_short_words_are_not_misspellings(self, plates: Any) -> None:
        (finding,) = found(plates("a man, her hat"), "trigger-missing", trigger="hrr")
        assert "without the trigger" in finding.text

    def test_regularisation(self, plates: Any) -> None:
        dataset = plates("lazdraw, a man", "a man", "lazdraw")
        items = [dataclasses.replace(i, role=REGULARISATION) for i in dataset.items[1:]]
        dataset = dataclasses.replace(dataset, items=(dataset.items[0], *items))
        assert found(dataset, "trigger-missing", trigger="lazdraw") == []
        (finding,) = found(dataset, "trigger-in-regularisation", trigger="lazdraw")
        assert finding.items == ("2.png",)

    def test_place(self, plates: Any) -> None:
        dataset = plates("lazdraw, a man", "a man, lazdraw, hat", "a man by lazdraw")
        (finding,) = found(dataset, "trigger-mid-caption", trigger="lazdraw")
        assert (finding.level, finding.items) == ("warning", ("1.png", "2.png"))
        assert mend(dataset, finding) == [
            "lazdraw, a man", "lazdraw, a man, hat", "a man by lazdraw"
        ]
        (finding,) = found(plates("by lazdraw", "x by lazdraw", "z lazdraw"),
                           "trigger-mid-caption", trigger="lazdraw")
        assert finding.level == "info"

    @pytest.mark.parametrize(("trigger", "common"), [
        ("girl", True), ("art style", True), ("Photo", True), ("lazdraw", False),
        ("lazdraw style", False), ("", False),
    ])
    def test_common_words(self, plates: Any, trigger: str, common: bool) -> None:
        assert len(found(plates("x"), "trigger-common-word", trigger=trigger)) == common


class TestAlike:
    CAPTIONS = tuple(
        f"anna, a woman with very long hair, blue eyes, {place}"
        for place in ("beach", "forest", "city", "room", "boat", "tree", "hill", "car")
    )

    def test_a_character(self, plates: Any) -> None:
        dataset = plates(*self.CAPTIONS)
        (finding,) = found(dataset, "captions-alike", trains="character", trigger="anna")
        assert finding.level == "warning"
        assert [p["text"] for p in finding.data["phrases"]] == [
            "a woman with very long hair", "blue eyes"
        ]
        assert "anna" not in finding.data["phrases"][0]["text"]
        assert "above all blue eyes," in finding.text

    def test_a_style_and_a_concept(self, plates: Any) -> None:
        dataset = plates(*self.CAPTIONS)
        assert found(dataset, "captions-alike", trains="style", trigger="anna") == []
        (finding,) = found(dataset, "captions-alike", trains="concept", trigger="anna")
        assert finding.level == "info"

    def test_below_the_share(self, plates: Any) -> None:
        captions = ["long hair, hat"] * 7 + ["coat"] * 2
        assert found(plates(*captions), "captions-alike", trains="character") == []
        captions[7] = "long hair"
        (finding,) = found(plates(*captions), "captions-alike", trains="character")
        assert [p["text"] for p in finding.data["phrases"]] == ["long hair"]

    def test_forgotten_tags(self, plates: Any) -> None:
        captions = [f"red hair, hat, thing{n}" for n in range(10)]
        captions[3] = "hat, thing3, other"
        (finding,) = found(plates(*captions), "tag-nearly-everywhere")
        assert finding.items == ("3.png",)
        assert finding.data == {"tag": "red hair", "captions": 9}


def colour_vector(image: Image.Image) -> np.ndarray:
    """A histogram of hues: enough of a vision model to tell red from blue."""
    hues = np.asarray(image.convert("HSV"))[..., 0].ravel()
    counts = np.histogram(hues, bins=24, range=(0, 256))[0].astype(np.float32) + 0.1
    return counts / np.linalg.norm(counts)


def test_cohesion_of_real_files(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)

    def draw(name: str, hue: int) -> None:
        hsv = np.full((32, 32, 3), 255, np.uint8)
        hsv[..., 0] = np.clip(chance.normal(hue, 14, (32, 32)), 0, 255)
        Image.fromarray(hsv, "HSV").convert("RGB").save(tmp_path / name)

    for number in range(8):
        draw(f"red{number}.png", 30)
    dataset = scan_folder(tmp_path, name="d")
    assert found(dataset, "cohesion", vision=colour_vector) == []
    draw("odd.png", 150)
    dataset = scan_folder(tmp_path, name="d")
    (finding,) = found(dataset, "cohesion", vision=colour_vector)
    assert (finding.level, finding.items) == ("warning", ("odd.png",))
    (tmp_path / "odd.png").unlink()
    for number in range(6):
        draw(f"blue{number}.png", 160)
    dataset = scan_folder(tmp_path, name="d")
    finding = found(dataset, "cohesion", vision=colour_vector)[0]
    groups = finding.data["clusters"]
    assert [len(group) for group in groups] == [8, 6]
    assert all(name.startswith("red") for name in groups[0])


def test_cohesion_of_clouds() -> None:
    """One cloud is one cluster, in as many dimensions as vision models have."""
    from lora_kiln.dataset.lint.cohesion import cohesion

    chance = np.random.default_rng(1)

    def cloud(centre: np.ndarray, count: int, spread: float) -> np.ndarray:
        points = centre + spread * chance.normal(size=(count, centre.size)) / centre.size**0.5
        return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)

    centres = [cloud(np.zeros(768), 1, 1.0)[0] for _ in range(3)]
    for spread in (0.3, 1.0, 3.0):
        for count in (6, 20, 200):
            one = cohesion(cloud(centres[0], count, spread))
            assert len(one.clusters) == 1, (spread, count, one.silhouette)
            assert len(one.outliers) <= 1
    three = cohesion(np.concatenate([cloud(c, 20, 0.6) for c in centres]))
    assert [len(members) for members in three.clusters] == [20, 20, 20]
    mixed = np.concatenate([cloud(centres[0], 30, 0.3), cloud(centres[1], 1, 0.3)])
    assert cohesion(mixed).outliers == (30,)
