"""Every name in a graph stays below a registered root."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError, KilnError

HOSTILE = [
    "..", "../", "../x", "a/../../x", "a/..", "./../x", "a/./../../../etc/passwd", "....//../x",
    "..\\x", "a\\..\\..\\x", "a/..\\..\\x", "\\x", "\\\\server\\share", "//server/share", "/",
    "/etc/passwd", "/tmp", "///etc", "~", "~/x", "~root/x", "~\\x", "C:\\x", "C:/x", "c:x", "z:",
    "\0", "a\0b", "a/\0", "a/..\0/x", "con", "CON", "nul.txt", "a/aux", "a/COM1", "lpt9.png",
    "prn ", "a/con/b", "a.", "a ", "a./b", "a /b", "... ", "x" * 256, "a/" + "ü" * 128,
    "/".join(["d" * 250] * 40), "\ud800", "a/\udfff/b", "link/x", "link", "a/link2", "dangling/x",
]  # fmt: skip
GOOD = ["", ".", "a", "a/b.txt", "a\\b.txt", "./a", "a//b.txt", "ünïcode 赤/x.png", "..a", "a..b",
        ".hidden", "console", "common.txt", "inside"]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with links: two lead outside, one stays inside."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "a", outside, tmp_path / "rootling"):
        folder.mkdir(parents=True)
    (outside / "x").write_text("secret")
    (root / "link").symlink_to(outside, target_is_directory=True)
    (root / "a" / "link2").symlink_to("../../outside")
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    (root / "inside").symlink_to(root / "a")
    return root


@pytest.fixture
def paths(comfy: Path) -> ModuleType:
    import importlib

    return importlib.import_module("lora_kiln.host.paths")


def test_the_corpus_is_large() -> None:
    assert len(set(HOSTILE)) >= 40


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_hostile_name_leads_out(paths: ModuleType, root: Path, name: str) -> None:
    with pytest.raises(paths.PathError, match="leads out of its folder"):
        paths.contained(root, name)


@pytest.mark.parametrize("name", GOOD, ids=range(len(GOOD)))
def test_plain_names_are_found(paths: ModuleType, root: Path, name: str) -> None:
    found = paths.contained(root, name)
    assert found == (root / name.replace("\\", "/")).resolve()
    assert found == root or root in found.parents


def test_a_sibling_with_the_same_beginning_is_outside(paths: ModuleType, root: Path) -> None:
    (root / "sibling").symlink_to(root.parent / "rootling")
    with pytest.raises(paths.PathError):
        paths.contained(root, "sibling")


def test_a_root_that_is_itself_a_link(paths: ModuleType, root: Path) -> None:
    alias = root.parent / "alias"
    alias.symlink_to(root)
    assert paths.contained(alias, "a") == (root / "a").resolve()


pieces = st.sampled_from(
    ["..", ".", "a", "link", "inside", "", "~", "C:", "con", "x ", "\0", "é", "\ud800"]
)
names = st.one_of(
    st.text(max_size=30),
    st.lists(st.tuples(pieces, st.sampled_from("/\\")), max_size=6).map(
        lambda parts: "".join(a + b for a, b in parts)
    ),
)


def test_whatever_is_accepted_lies_inside(paths: ModuleType, root: Path) -> None:
    @given(names)
    def check(name: str) -> None:
        try:
            found = paths.contained(root, name)
        except paths.PathError:
            return
        assert found == root or root in Path(os.path.realpath(found)).parents

    check()


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_datasets_and_loras_lie_below_their_roots(
    paths: ModuleType, host: Any, name: str
) -> None:
    for made in (name, f"input/{name}", f"output\\{name}", f"kiln_datasets/{name}"):
        with pytest.raises(KilnError):
            paths.resolve_folder(made)
    with pytest.raises(KilnError):
        paths.resolve_lora(name)


def test_what_is_there_is_found(paths: ModuleType, host: Any) -> None:
    (host.output / "mine" / "sub").mkdir(parents=True)
    (host.output / "mine" / "sub" / "a.PNG").write_text("x")
    (host.loras / "kiln").mkdir()
    (host.loras / "kiln" / "a.safetensors").write_text("x")
    assert paths.resolve_folder("output/mine/sub") == host.output / "mine" / "sub"
    listed = paths.list_dataset_folders()
    assert listed[0] == "demo/style"
    assert "output/mine/sub" in listed
    assert "output/mine" not in listed
    assert paths.resolve_folder("demo/style").is_dir()
    found = paths.resolve_lora("kiln/a.safetensors")
    assert paths.lora_name_for_loader(found) == os.path.join("kiln", "a.safetensors")
    with pytest.raises(paths.PathError, match="outside of the LoRA folders"):
        paths.lora_name_for_loader(host.output / "a.safetensors")


BAD_RUN_NAMES = [
    "", " ", ".", "..", "a/b", "a\\b", "/a", "../a", "a\0", "con", "NUL", "com1.x", "a.", "a..b",
    "-a", " .a", ".hidden", "a:b", "a*b", "a?b", 'a"b', "a<b", "a|b", "a\nb", "x" * 81, "a\tb",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_RUN_NAMES, ids=range(len(BAD_RUN_NAMES)))
def test_run_names_that_are_no_file_names(paths: ModuleType, name: str) -> None:
    with pytest.raises(ConfigError, match="The run name is"):
        paths.check_run_name(name)


@pytest.mark.parametrize("name", ["a", "my style 2", "Straße_v1.5", "7-up", "x" * 80, "構図"])
def test_run_names_as_people_choose_them(paths: ModuleType, name: str) -> None:
    assert paths.check_run_name(f"  {name} ") == name


def test_a_lora_behind_a_link_is_found(
    comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who links a folder into models/loras wants it used, and stock follows it."""
    import folder_paths

    from lora_kiln.host.paths import lora_name_for_loader, resolve_lora

    loras, other = tmp_path / "loras", tmp_path / "elsewhere"
    for folder in (loras, other):
        folder.mkdir()
    (other / "x.safetensors").touch()
    (loras / "linked").symlink_to(other, target_is_directory=True)
    listed = folder_paths.folder_names_and_paths["loras"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(loras)], listed[1]))
    path = resolve_lora("linked/x.safetensors")
    assert path.is_file()
    assert lora_name_for_loader(path) == str(Path("linked") / "x.safetensors")


def test_a_long_run_name_leaves_room_for_its_files() -> None:
    from lora_kiln.core.errors import ConfigError
    from lora_kiln.host.paths import check_run_name

    assert check_run_name("窯" * 60)
    with pytest.raises(ConfigError):
        check_run_name("窯" * 80)


def test_no_stream_of_another_file(paths: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows would write b.png into a.png, where nobody sees it."""
    assert paths.is_plain("sub/a.png:b.png")
    monkeypatch.setattr(paths.os, "name", "nt")
    plain = paths.is_plain("sub/a.png:b.png")
    monkeypatch.undo()
    assert not plain
