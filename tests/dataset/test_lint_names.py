"""Rules about names: captions that miss their picture, clashes, twins, and what goes with what."""

from __future__ import annotations

import dataclasses
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.change_journal import DONE, ChangeSet
from lora_kiln.dataset.changes import MoveFile
from lora_kiln.dataset.items import Fault, Origin
from lora_kiln.dataset.lint import caption_names, follow
from lora_kiln.dataset.lint.edits import edit_distance
from lora_kiln.dataset.lint.folder import Folder
from lora_kiln.dataset.lint.mend import lint_and_mend
from lora_kiln.dataset.lint.run import lint
from lora_kiln.tests.dataset.rotten import clouds, context_of, found, read, tree, write


def picture(root: Path, name: str, caption: str | None = None, seed: int | None = None) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    clouds(sum(map(ord, name)) if seed is None else seed).save(path)
    if caption is not None:
        write(path.with_suffix(".txt"), caption)


@pytest.mark.parametrize(
    ("name", "caption", "edits"),
    [
        ("image123.png", "imag123.txt", 1),
        ("image123.png", "imgae123.txt", 2),
        ("Image 01.png", "image_01.txt", 0),
        ("a/photo.png", "a/photos.txt", 1),
        ("scan0007.png", "scan7.txt", None),
        ("image12.png", "image21.txt", None),
        ("image12.png", "image123.txt", None),
        ("003.png", "011.txt", None),
        ("b/photo.png", "a/photos.txt", None),
        ("cat.png", "dog.txt", None),
        ("ab.png", "cd.txt", None),
    ],
)
def test_a_letter_or_two(tmp_path: Path, name: str, caption: str, edits: int | None) -> None:
    picture(tmp_path, name)
    write(tmp_path / caption, "x")
    near = found(tmp_path, "near-miss-caption")
    orphans = [one.files for one in found(tmp_path, "orphan-caption")]
    if edits is None:
        assert (near, orphans) == ([], [(caption,)])
        return
    (one,) = near
    assert (one.items, one.files, one.data) == ((name,), (caption,), {"edits": edits})
    assert orphans == []
    assert one.fix is not None
    assert one.fix.safe == (len(Path(caption).stem) > 3)
    mended = lint_and_mend(context_of, read(tmp_path), "safe")
    (item,) = mended.dataset.items
    assert item.caption == read(tmp_path).items[0].caption == "x"


def test_the_ending_in_capitals(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    write(tmp_path / "a.TXT", "x")
    if read(tmp_path).items[0].caption == "x":
        pytest.skip("This disk does not tell cases apart")
    (one,) = found(tmp_path, "near-miss-caption")
    assert one.fix is not None
    assert one.fix.changes == (MoveFile("a.TXT", "a.txt"),)


def test_two_pictures_are_as_likely(tmp_path: Path) -> None:
    picture(tmp_path, "plate_a.png")
    picture(tmp_path, "plate_b.png")
    write(tmp_path / "plate_.txt", "x")
    before = tree(tmp_path)
    (one,) = found(tmp_path, "near-miss-caption")
    assert one.items == ("plate_a.png", "plate_b.png")
    assert one.fix is not None and not one.fix.safe
    lint_and_mend(context_of, read(tmp_path), "safe")
    assert tree(tmp_path) == before
    # Who says so gets it.
    mended = lint_and_mend(context_of, read(tmp_path), "near-miss-caption")
    assert [item.caption for item in mended.dataset.items] == ["x", None]


def test_two_captions_are_as_likely(tmp_path: Path) -> None:
    picture(tmp_path, "plate.png")
    write(tmp_path / "plat.txt", "x")
    write(tmp_path / "platee.txt", "y")
    near = found(tmp_path, "near-miss-caption")
    assert len(near) == 2
    assert not any(one.fix is not None and one.fix.safe for one in near)
    # Both want one name: the second is told that it is taken, and not forced.
    mended = lint_and_mend(context_of, read(tmp_path), "near-miss-caption")
    assert mended.dataset.items[0].caption == "x"
    assert (tmp_path / "platee.txt").exists()


def test_captioned_pictures_take_no_other_caption(tmp_path: Path) -> None:
    picture(tmp_path, "plate.png", "mine")
    write(tmp_path / "plates.txt", "x")
    assert found(tmp_path, "near-miss-caption") == []
    assert [one.files for one in found(tmp_path, "orphan-caption")] == [("plates.txt",)]


def test_a_text_about_the_folder_is_no_caption(tmp_path: Path) -> None:
    picture(tmp_path, "plate.png", "mine")
    write(tmp_path / "README.txt", "my pictures")
    assert found(tmp_path, "orphan-caption") == []


def test_too_many_to_compare_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_names, "MOST_COMPARISONS", 1)
    for name in ("plate", "horse"):
        picture(tmp_path, f"{name}.png")
        write(tmp_path / f"{name}s.txt", "x")
    (one,) = found(tmp_path, "near-miss-caption")
    assert "2 captions without a picture" in one.text


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edit_distance_is_levenshteins(first: str, second: str) -> None:
    table = list(range(len(second) + 1))
    for row, letter in enumerate(first, start=1):
        line = [row]
        for column, other in enumerate(second, start=1):
            line.append(min(table[column - 1] + (letter != other), table[column] + 1, line[-1] + 1))
        table = line
    assert edit_distance(first, second, 2) == min(table[-1], 3)


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_swapped_neighbours_may_count_as_one(first: str, second: str) -> None:
    table = {(i, 0): i for i in range(len(first) + 1)}
    table |= {(0, j): j for j in range(len(second) + 1)}
    for i in range(1, len(first) + 1):
        for j in range(1, len(second) + 1):
            ways = [
                table[i - 1, j - 1] + (first[i - 1] != second[j - 1]),
                table[i - 1, j] + 1, table[i, j - 1] + 1,
            ]
            if i > 1 and j > 1 and first[i - 2 : i] == second[j - 2 : j][::-1]:
                ways.append(table[i - 2, j - 2] + 1)
            table[i, j] = min(ways)
    wanted = min(table[len(first), len(second)], 3)
    assert edit_distance(first, second, 2, swaps=True) == wanted


@pytest.mark.parametrize("copy", ["123 (1)", "123(2)", "123 - Copy", "123 copy 2"])
def test_parted_by_the_name_of_a_copy(tmp_path: Path, copy: str) -> None:
    picture(tmp_path, f"{copy}.png")
    write(tmp_path / "123.txt", "mine")
    (one,) = found(tmp_path, "browser-copy")
    assert one.fix is not None and one.fix.safe
    assert one.fix.changes == (MoveFile("123.txt", f"{copy}.txt"),)
    assert found(tmp_path, "orphan-caption") == []


def test_the_caption_is_the_copy(tmp_path: Path) -> None:
    picture(tmp_path, "123.png")
    write(tmp_path / "123 (1).txt", "mine")
    (one,) = found(tmp_path, "browser-copy")
    assert one.fix is not None
    assert one.fix.changes == (MoveFile("123 (1).txt", "123.txt"),)


def test_a_copy_beside_its_original_is_asked_about(tmp_path: Path) -> None:
    picture(tmp_path, "123.png", "whose?")
    picture(tmp_path, "123 (1).png")
    (one,) = found(tmp_path, "browser-copy")
    assert "may have been written for either" in one.text
    assert one.fix is not None and not one.fix.safe
    mended = lint_and_mend(context_of, read(tmp_path), "browser-copy")
    assert [item.caption for item in mended.dataset.items] == ["whose?", "whose?"]


def test_two_copies_and_one_caption(tmp_path: Path) -> None:
    picture(tmp_path, "123 (1).png")
    picture(tmp_path, "123 (2).png")
    write(tmp_path / "123.txt", "whose?")
    (one,) = found(tmp_path, "browser-copy")
    assert one.fix is not None and not one.fix.safe


def test_a_shared_name_without_a_caption_is_a_warning(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    picture(tmp_path, "a.jpg")
    (one,) = found(tmp_path, "shared-name")
    assert one.level == "warning"


def test_a_shared_mask_goes_with_both(tmp_path: Path) -> None:
    picture(tmp_path, "a.jpg", "x")
    picture(tmp_path, "a.png")
    clouds(1).convert("L").save(tmp_path / "a-masklabel.png")
    mended = lint_and_mend(context_of, read(tmp_path, masks="files"), "shared-name")
    assert mended.report.errors == ()
    again = read(tmp_path, masks="files")
    assert sorted(tree(tmp_path)) == [
        "a-masklabel.png", "a.jpg", "a.txt", "a_png-masklabel.png", "a_png.png", "a_png.txt"
    ]
    assert all(item.mask is not None and item.caption == "x" for item in again.items)


def test_twins_that_only_some_disks_tell_apart(tmp_path: Path) -> None:
    picture(tmp_path, "A.png", "upper", seed=1)
    picture(tmp_path, "a.png", "lower", seed=2)
    if len(tree(tmp_path)) < 4:
        pytest.skip("This disk does not tell cases apart")
    (one,) = found(tmp_path, "twin-names")
    assert one.level == "error"
    mended = lint_and_mend(context_of, read(tmp_path), "safe")
    assert mended.report.errors == ()
    captions = {item.name: item.caption for item in read(tmp_path).items}
    assert captions in ({"A.png": "upper", "a_2.png": "lower"},
                        {"a.png": "lower", "A_2.png": "upper"})


def test_accents_in_two_spellings(tmp_path: Path) -> None:
    for name in (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")):
        picture(tmp_path, f"{name}.png", "x")
    if len(tree(tmp_path)) < 4:
        pytest.skip("This disk does not tell them apart")
    (one,) = found(tmp_path, "twin-names")
    assert "accents" in one.text


def test_an_unreadable_picture_takes_its_files_along(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", "a")
    picture(tmp_path, "sub/b.png", "b")
    for name in ("mask/sub/b.png", "mask/a.png"):
        picture(tmp_path, name)
    write(tmp_path / "sub/b.npz", "cache of another trainer")
    whole = read(tmp_path)
    error = DatasetError("sub/b.png cannot be decoded", expected="a whole picture", remedy="Copy")
    dataset = dataclasses.replace(
        whole, items=whole.items[:1], faults=(Fault(whole.origins[0], "sub/b.png", error),)
    )
    (one,) = [f for f in lint(context_of(dataset)).findings if f.rule == "unreadable-file"]
    assert one.level == "error"
    assert one.fix is not None and one.fix.safe
    before = tree(tmp_path)
    mended = lint_and_mend(context_of, dataset, "safe")
    assert mended.dataset.faults == ()
    assert [item.name for item in mended.dataset.items] == ["a.png"]
    moved = {"sub/b.png", "sub/b.txt", "sub/b.npz", "mask/sub/b.png"}
    assert tree(tmp_path) == {
        (f"rejected/{name}" if name in moved else name): data for name, data in before.items()
    }


def test_a_damaged_mask_or_table_is_not_moved_unseen(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", "a")
    picture(tmp_path, "a-masklabel.png")
    write(tmp_path / "metadata.csv", "file_name\na.png")
    whole = read(tmp_path)
    error = DatasetError("damaged", expected="a file", remedy="Copy")
    faults = tuple(
        Fault(whole.origins[0], name, error) for name in ("a-masklabel.png", "metadata.csv")
    )
    dataset = dataclasses.replace(whole, faults=faults)
    mask, table = (
        f for f in lint(context_of(dataset)).findings if f.rule == "unreadable-file"
    )
    assert mask.fix is not None and not mask.fix.safe
    assert table.fix is None


def test_kinds_that_nobody_reads(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", "a")
    write(tmp_path / "b.heic", "phone")
    write(tmp_path / "b.txt", "its caption")
    assert [one.files for one in found(tmp_path, "unread-kind")] == [("b.heic",)]
    assert found(tmp_path, "orphan-caption") == []


@pytest.mark.parametrize(("name", "other"), [("a.png", "A.png"), ("a.png", "a.webp")])
def test_what_a_table_names_keeps_its_name(tmp_path: Path, name: str, other: str) -> None:
    picture(tmp_path, f"p/{name}", seed=1)
    picture(tmp_path, f"p/{other}", seed=2)
    write(tmp_path / "metadata.csv", f"file_name,text,role\np/{name},one,train\np/{other},two,\n")
    before = read(tmp_path)
    mended = lint_and_mend(context_of, before, "safe, shared-name, twin-names")
    assert any(one.rule in ("twin-names", "shared-name") for one in mended.report.findings)
    assert [(i.name, i.caption) for i in read(tmp_path).items] == [
        (i.name, i.caption) for i in before.items
    ]


def test_many_clashing_names_are_looked_at_in_time(tmp_path: Path) -> None:
    names = tuple(f"{n}.{kind}" for n in range(8000) for kind in ("jpg", "png"))
    folder = Folder(Origin(tmp_path, "x", names, (".txt",)), ())
    begin = time.monotonic()
    stems = [folder.free_stem(f"{n}") for n in range(8000)]
    assert time.monotonic() - begin < 20
    assert stems[:2] == ["0_2", "1_2"]


def test_many_renamed_files_are_followed_in_time(tmp_path: Path) -> None:
    rows = tuple({"path": f"{n}.png.txt", "to": f"{n}.txt"} for n in range(20_000))
    made = ChangeSet(tmp_path, "id", "test", DONE, rows)
    begin = time.monotonic()
    steps = follow._Steps(made)
    assert time.monotonic() - begin < 20
    assert steps.of("7.png.txt") == "7.txt"


def test_a_caption_with_the_pictures_ending_is_no_orphan(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    write(tmp_path / "a.png.txt", "hat")
    assert read(tmp_path).items[0].caption == "hat"
    assert found(tmp_path, "orphan-caption") == []
