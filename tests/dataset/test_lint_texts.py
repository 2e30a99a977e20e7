"""Rules about the bytes and lines of captions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.dataset.captions import apply_template
from lora_kiln.dataset.items import Dataset
from lora_kiln.dataset.lint.caption_bytes import diagnose, tidied
from lora_kiln.dataset.lint.finding import Finding
from lora_kiln.dataset.lint.mend import lint_and_mend, undone
from lora_kiln.dataset.lint.run import lint
from lora_kiln.tests.dataset.rotten import clouds, context_of, found, read, report_of, tree, write

TEXT = "lazdraw, a woman's portrait"
GERMAN = "ein Mädchen mit großem Hut"


@pytest.mark.parametrize(
    ("data", "level", "safe", "becomes"),
    [
        (TEXT.encode("utf-16"), "error", True, TEXT),
        (TEXT.encode("utf-16-be"), "error", True, TEXT),
        (TEXT.encode("utf-32"), "error", True, TEXT),
        (GERMAN.encode("cp1252"), "error", False, GERMAN),
        ("lazdraw, a woman’s portrait, seen from afar".encode("cp1252"), "error", True,
         "lazdraw, a woman's portrait, seen from afar"),
        ("я рисую".encode("cp1251"), "error", False, None),
        (TEXT.encode("utf-8-sig"), "warning", True, TEXT),
        (b"one\r\ntwo", "warning", True, "one\ntwo"),
        ("“lazdraw” – a portrait…".encode(), "info", True, '"lazdraw" - a portrait...'),
    ],
)  # fmt: skip
def test_bytes_that_are_not_plain(
    tmp_path: Path, data: bytes, level: str, safe: bool, becomes: str | None
) -> None:
    clouds(1).save(tmp_path / "a.png")
    write(tmp_path / "a.txt", "so that it can be read")
    dataset = read(tmp_path)
    write(tmp_path / "a.txt", data)
    (one,) = [f for f in _lint(dataset) if f.rule == "caption-encoding"]
    assert (one.level, one.files) == (level, ("a.txt",))
    assert one.fix is not None
    assert one.fix.safe == safe
    if safe:
        mended = lint_and_mend(context_of, dataset, "safe")
        assert (tmp_path / "a.txt").read_bytes() == (becomes or "").encode()
        # The caption that was read before is another: as if a node had written it.
        assert mended.dataset.items[0].caption == "so that it can be read"
        assert read(tmp_path).items[0].caption == becomes
    else:
        lint_and_mend(context_of, dataset, "safe")
        assert (tmp_path / "a.txt").read_bytes() == data
        lint_and_mend(context_of, dataset, "caption-encoding")
        if becomes is not None:
            assert (tmp_path / "a.txt").read_text("utf-8") == becomes


def _lint(dataset: Dataset) -> list[Finding]:
    return list(lint(context_of(dataset)).findings)


@pytest.mark.parametrize("text", [TEXT, GERMAN, "星, 夜", "", "two\nlines", "emoji 🙂 too"])
def test_plain_utf8_is_in_order(text: str) -> None:
    assert diagnose(text.encode()) is None


@given(st.binary(max_size=60))
def test_what_is_written_is_in_order(data: bytes) -> None:
    found = diagnose(data)
    if found is not None and found.text is not None:
        again = diagnose(found.text.encode())
        assert again is None or "\0" in found.text


@given(st.text(max_size=40))
def test_tidying_twice_changes_nothing(text: str) -> None:
    assert tidied(tidied(text)) == tidied(text)


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write(tmp_path / "shared.txt", b"\xef\xbb\xbfx")
    root.mkdir()
    clouds(1).save(root / "a.png")
    (root / "a.txt").symlink_to(tmp_path / "shared.txt")
    (one,) = found(root, "caption-encoding")
    assert one.fix is None


def test_several_lines(tmp_path: Path) -> None:
    for name, text in (("tags", "1girl, hat,\nred dress\n"), ("words", "A woman.\nShe smiles.")):
        clouds(len(name)).save(tmp_path / f"{name}.png")
        write(tmp_path / f"{name}.txt", text)
    assert len(found(tmp_path, "multiline-caption")) == 2
    mended = lint_and_mend(context_of, read(tmp_path), "multiline-caption")
    assert [item.caption for item in mended.dataset.items] == [
        "1girl, hat, red dress", "A woman. She smiles."
    ]


def test_lines_that_a_node_wrote_are_not_the_files(tmp_path: Path) -> None:
    clouds(1).save(tmp_path / "a.png")
    write(tmp_path / "a.txt", "one")
    dataset = apply_template(read(tmp_path), "{caption}\nand more")
    (one,) = [f for f in _lint(dataset) if f.rule == "multiline-caption"]
    assert one.fix is None


def test_captions_of_a_node_outlive_a_rename(tmp_path: Path) -> None:
    clouds(1).save(tmp_path / "a.png")
    clouds(2).save(tmp_path / "a.jpg")
    write(tmp_path / "a.txt", b"\xef\xbb\xbfone")
    dataset = apply_template(read(tmp_path), "{caption}, lazdraw")
    mended = lint_and_mend(context_of, dataset, "safe, shared-name")
    assert [item.caption for item in mended.dataset.items] == ["one, lazdraw"] * 2
    assert (tmp_path / "a.txt").read_bytes() == b"one"


def test_two_faults_of_one_file_are_mended_one_after_the_other(tmp_path: Path) -> None:
    clouds(1).save(tmp_path / "image1.png")
    write(tmp_path / "imag1.txt", b"\xef\xbb\xbfone\r\n")
    before = tree(tmp_path)
    mended = lint_and_mend(context_of, read(tmp_path), "safe")
    assert (tmp_path / "image1.txt").read_bytes() == b"one\n"
    assert mended.dataset.items[0].caption == "one"
    assert len(mended.applied.sets) == 2
    assert mended.applied.skipped == ()
    undone(mended.dataset)
    assert tree(tmp_path) == before


def test_reports_tell_empty_captions(tmp_path: Path) -> None:
    clouds(1).save(tmp_path / "a.png")
    write(tmp_path / "a.txt", "")
    assert [f.rule for f in report_of(tmp_path).findings] == ["missing-caption"]


def test_a_text_about_the_folder_stops_nobody(tmp_path: Path) -> None:
    clouds(1).save(tmp_path / "a.png")
    write(tmp_path / "a.txt", "lazdraw")
    write(tmp_path / "log.txt", GERMAN.encode("cp1252"))
    (one,) = [f for f in _lint(read(tmp_path)) if f.rule == "caption-encoding"]
    assert (one.level, one.files) == ("warning", ("log.txt",))
