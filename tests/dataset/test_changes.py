"""Changes of files: all or none, and taken back byte for byte."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset import changes
from lora_kiln.dataset.change_journal import DONE, ChangeSet, new_id, write_journal
from lora_kiln.dataset.changes import Change, MoveFile, WriteFile, apply_changes, list_changes, undo
from lora_kiln.dataset.items import sha256_of


def _tree(root: Path) -> dict[str, bytes]:
    """Every file but the tools' own."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".kiln" not in path.parts
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").write_bytes(b"picture\r\n")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfold\r\n")
    (tmp_path / "sub" / "b.txt").write_bytes(b"b")
    return tmp_path


def test_written_moved_and_undone(folder: Path) -> None:
    before = _tree(folder)
    made = apply_changes(
        folder,
        [
            WriteFile("a.txt", b"new"),
            MoveFile("a.txt", "sub/c.txt"),
            WriteFile("fresh/d.txt", b"d"),
            MoveFile("sub/b.txt", "a.txt"),
        ],
        reason="Tidy up: test",
    )
    assert _tree(folder) == {
        "a.png": before["a.png"], "sub/c.txt": b"new", "fresh/d.txt": b"d", "a.txt": b"b",
    }
    assert [one.id for one in list_changes(folder)] == [made.id]
    assert made.id.endswith("-tidy-up-test")
    assert undo(folder, made.id).status == "undone"
    assert _tree(folder) == before
    assert undo(folder, made.id).status == "undone"
    # What was new is kept all the same.
    assert [p.read_bytes() for p in (made.folder / "after").iterdir()] == [b"d"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (MoveFile("a.txt", "a.png"), "there is a file of that name"),
        (MoveFile("none.txt", "x.txt"), "is not there"),
        (MoveFile("a.txt", "../x.txt"), "leads out"),
        (WriteFile("/tmp/x", b""), "leads out"),
        (WriteFile(".kiln/changes/x", b""), "leads out"),
        (WriteFile("out/x", b""), "leads out"),
        (WriteFile("link.txt", b""), "a link"),
        (WriteFile("sub", b""), "a folder"),
    ],
)
def test_refused_before_anything_is_touched(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, change: changes.Change, word: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (folder / "out").symlink_to(outside)
    (folder / "link.txt").symlink_to(folder / "a.txt")
    before = _tree(folder)
    with pytest.raises(DatasetError, match=word):
        apply_changes(folder, [WriteFile("a.txt", b"x"), change], reason="r")
    assert _tree(folder) == before and not list(outside.iterdir())
    assert not list_changes(folder)


def test_a_file_changed_since_is_not_overwritten(folder: Path) -> None:
    made = apply_changes(folder, [WriteFile("a.txt", b"1"), WriteFile("e", b"")], reason="r")
    (folder / "a.txt").write_bytes(b"by hand")
    with pytest.raises(DatasetError, match=r"a\.txt was changed since"):
        undo(folder, made.id)
    assert (folder / "a.txt").read_bytes() == b"by hand" and (folder / "e").exists()


def test_a_disk_that_refuses_midway_leaves_all_as_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _tree(folder)
    real = os.rename

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "z.png":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(changes.os, "rename", full)
    with pytest.raises(DatasetError, match="No space left"):
        apply_changes(
            folder, [WriteFile("a.txt", b"new"), MoveFile("a.png", "z.png")], reason="r"
        )
    assert _tree(folder) == before


class _Killed(BaseException):
    pass


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_killed_anywhere_and_undone_is_as_before(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("killed")
    names = ["a", "b", "c", "d/e"]
    for name in data.draw(st.sets(st.sampled_from(names), min_size=1)):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(name.encode())
    before = _tree(root)
    wanted = data.draw(
        st.lists(
            st.one_of(
                st.builds(WriteFile, st.sampled_from(names), st.binary(max_size=2)),
                st.builds(MoveFile, st.sampled_from(names), st.sampled_from(names)),
            ),
            min_size=1,
            max_size=5,
        )
    )
    left = data.draw(st.integers(0, len(wanted)))
    real = changes._do

    def dies(folder: Path, change: changes.Change) -> None:
        nonlocal left
        if left == 0:
            raise _Killed
        left -= 1
        real(folder, change)

    changes._do = dies  # type: ignore[assignment]
    try:
        apply_changes(root, wanted, reason="r")
    except _Killed:
        assert list_changes(root)[0].status == "begun"
    except DatasetError:
        assert _tree(root) == before
        return
    finally:
        changes._do = real
    undo(root, list_changes(root)[0].id)
    assert _tree(root) == before


def test_a_journal_that_was_tampered_with_leads_nowhere(folder: Path) -> None:
    made = apply_changes(folder, [WriteFile("a.txt", b"1")], reason="r")
    journal = made.folder / "journal.json"
    content = json.loads(journal.read_text())
    for row in ({**content["rows"][0], "path": "../x"}, {**content["rows"][0], "before": "../x"}):
        journal.write_text(json.dumps({**content, "rows": [row]}))
        with pytest.raises(DatasetError):
            undo(folder, made.id)
    with pytest.raises(DatasetError):
        undo(folder, "../" + made.id)


def test_undo_of_many_changes_costs_no_more_for_each(folder: Path) -> None:
    """50,000 saved captions are one set of changes: its states must not all be held at once."""
    names = [f"many/{number}.txt" for number in range(1500)]
    (folder / "many").mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")
    rows = tuple({"path": name, "before": None, "after": sha256_of(b"x")} for name in names)
    made = ChangeSet(folder, new_id("captions"), "captions", DONE, rows)
    write_journal(made, DONE)
    tracemalloc.start()
    try:
        undo(folder, made.id)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most_bytes < 10_000 * len(names)
    assert not list((folder / "many").iterdir())


def test_a_name_that_is_taken_meanwhile_leaves_all_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program makes the file between the look at the folder and the change."""
    before, write_bytes = _tree(folder), changes.atomic.write_bytes

    def quick(path: Path, data: bytes) -> None:
        write_bytes(path, data)
        if path.name == "a.txt":
            (folder / "c.png").write_bytes(b"another's")

    monkeypatch.setattr(changes.atomic, "write_bytes", quick)
    wanted: list[Change] = [WriteFile("a.txt", b"new"), MoveFile("a.png", "c.png")]
    with pytest.raises(DatasetError, match=r"a\.png cannot be changed: another file has this name"):
        apply_changes(folder, wanted, reason="x")
    assert _tree(folder) == before | {"c.png": b"another's"}
    assert [one.status for one in list_changes(folder)] == ["undone"]


def test_a_damaged_journal_does_not_hide_the_others(folder: Path) -> None:
    first = apply_changes(folder, [WriteFile("a.txt", b"1")], reason="r")
    second = apply_changes(folder, [WriteFile("b.txt", b"2")], reason="r")
    (second.folder / "journal.json").write_text("{")
    assert [(one.id, one.status) for one in list_changes(folder)] == [
        (second.id, "damaged"), (first.id, "done"),
    ]
    undo(folder, first.id)
    with pytest.raises(DatasetError, match="no readable change"):
        undo(folder, second.id)
