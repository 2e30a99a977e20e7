"""Decisions about single pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.changes import undo
from lora_kiln.dataset.curate import decide, read_curated
from lora_kiln.dataset.review import (
    DECISIONS,
    Conflict,
    accept,
    read_decisions,
    reject,
    rejected_picture,
    save_caption,
    take_back,
)
from lora_kiln.dataset.scan import scan_folder


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".png", ".jpg"):
            Image.new("RGB", (8, 8), "red").save(path)
        else:
            path.write_text(name, encoding="utf-8")


def tree(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in root.rglob("*") if p.is_file() and ".kiln" not in p.parts
    }


def test_what_belongs_to_a_picture_goes_with_it(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.txt", "a.json", "a-masklabel.png", "mask/a.png", "ab.png", "ab.txt",
         "sub/a.png", "sub/a.txt", "metadata.csv")
    (tmp_path / "metadata.csv").write_text("file_name,text\n", encoding="utf-8")
    before = tree(tmp_path)
    made = reject(tmp_path, "a.png")
    assert {n for n in tree(tmp_path) if n.startswith("rejected/")} == {
        f"rejected/{n}" for n in ("a.png", "a.txt", "a.json", "a-masklabel.png", "mask/a.png")
    }
    assert [item.name for item in scan_folder(tmp_path, name="x").items] == ["ab.png", "sub/a.png"]
    assert read_decisions(tmp_path).of("a.png", None) == "rejected"
    take_back(tmp_path, made.id)
    assert tree(tmp_path) == before
    assert read_decisions(tmp_path).of("a.png", None) == ""


def test_a_shared_caption_stays(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.jpg", "a.txt")
    reject(tmp_path, "a.png")
    assert set(tree(tmp_path)) == {"a.jpg", "a.txt", "rejected/a.png"}
    # The next one of that name finds its place taken, and gets a number with all its files.
    fill(tmp_path, "a.png")
    (tmp_path / "a.jpg").unlink()
    reject(tmp_path, "a.png")
    assert set(tree(tmp_path)) == {"rejected/a.png", "rejected/a-2.png", "rejected/a-2.txt"}


def test_a_caption_that_was_changed_elsewhere(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.txt")
    with pytest.raises(Conflict, match=r"a\.png was changed elsewhere") as caught:
        save_caption(tmp_path, "a.png", "new", seen=None, extensions=(".txt",))
    assert caught.value.now == "a.txt"
    save_caption(tmp_path, "a.png", "new", seen="a.txt", extensions=(".caption", ".txt"))
    assert (tmp_path / "a.txt").read_text() == "new"
    with pytest.raises(DatasetError, match="There is no picture"):
        save_caption(tmp_path, "a.txt", "new", seen=None, extensions=(".txt",))


def test_damaged_decisions_are_told_and_kept(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    accept(tmp_path, "a.png", "x")
    assert read_decisions(tmp_path).of("a.png", "x") == "accepted"
    assert read_decisions(tmp_path).of("a.png", "y") == "changed"
    for text in ("", "[]", '{"accepted": 7}', "[" * 10**5):
        (tmp_path / DECISIONS).write_text(text, encoding="utf-8")
        with pytest.raises(DatasetError, match=r"review\.json in .* cannot be read"):
            accept(tmp_path, "a.png", "x")
        assert (tmp_path / DECISIONS).read_text("utf-8") == text
    (tmp_path / DECISIONS).unlink()
    accept(tmp_path, "a.png", "x")
    accept(tmp_path, "a.png", "x", accepted=False)
    assert read_decisions(tmp_path).accepted == {}


def test_accepted_and_rejected_again_and_again(tmp_path: Path) -> None:
    fill(tmp_path, "from.png")
    candidate, root, sha = tmp_path / "from.png", tmp_path / "set", "ab" * 32

    def choose(decision: str, caption: str = "x") -> None:
        decide(root, sha, decision, candidate=candidate, stem="p", caption=caption)

    choose("rejected")
    assert tree(root) == {}
    for number in range(3):
        choose("accepted", f"caption {number}")
        assert (root / "p-abababab.txt").read_text() == f"caption {number}"
        choose("rejected" if number % 2 else "")
        assert not (root / "p-abababab.png").exists()
    assert read_curated(root)[sha].decision == ""
    candidate.unlink()
    choose("accepted")  # It is kept in rejected/.
    assert (root / "p-abababab.png").is_file()
    with pytest.raises(DatasetError, match="not kept any more"):
        decide(root, "cd" * 32, "accepted", candidate=candidate, stem="p", caption="")


def test_a_caption_that_is_gone_is_told_as_such(tmp_path: Path) -> None:
    """Whoever then wants to save theirs has seen that there is none, and can."""
    fill(tmp_path, "a.png", "a.txt")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(Conflict) as caught:
        save_caption(tmp_path, "a.png", "mine", seen="a.txt", extensions=[".txt"])
    assert caught.value.now is None
    save_caption(tmp_path, "a.png", "mine", seen=caught.value.now, extensions=[".txt"])
    assert (tmp_path / "a.txt").read_text("utf-8") == "mine"


def test_a_picture_that_came_back_by_another_way_is_not_rejected(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.txt")
    made = reject(tmp_path, "a.png")
    assert rejected_picture(tmp_path, "a.png") == tmp_path / "rejected" / "a.png"
    undo(tmp_path, made.id)
    assert read_decisions(tmp_path).of("a.png", None) == ""
    assert rejected_picture(tmp_path, "a.png") is None
    again = reject(tmp_path, "a.png")
    take_back(tmp_path, again.id)
    assert (tmp_path / "a.png").is_file()


def test_nothing_moves_where_it_could_not_be_remembered(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.txt", "b.png")
    made = reject(tmp_path, "b.png")
    (tmp_path / DECISIONS).write_text("{", encoding="utf-8")
    before = tree(tmp_path)
    with pytest.raises(DatasetError, match="cannot be read"):
        reject(tmp_path, "a.png")
    with pytest.raises(DatasetError, match="cannot be read"):
        take_back(tmp_path, made.id)
    assert tree(tmp_path) == before
