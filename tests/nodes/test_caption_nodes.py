"""Nodes that edit, save and encode captions, and the way from a folder and back."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nodes(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.captions_edit")


@pytest.fixture
def base(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An input folder of this test alone, with a small dataset in it."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    folder = tmp_path / "plates"
    (folder / "hand").mkdir(parents=True)
    for name, colour in (("a.png", "red"), ("b.png", "green"), ("hand/c.png", "blue")):
        Image.new("RGB", (160, 128), colour).save(folder / name)
    (folder / "a.txt").write_text("long_hair, engraving, engraving, (ink)\r\n", encoding="utf-8")
    (folder / "b.txt").write_text("", encoding="utf-8")
    return tmp_path


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    with torch.inference_mode():
        return tuple(node.PREPARE_CLASS_CLONE(None).execute(**inputs).args)


def load(folder: str = "input/plates") -> Any:
    data = importlib.import_module("lora_kiln.nodes.data")
    return run(
        data.KilnLoadImageFolder, folder=folder, background="white",
        custom_background="#f4efe6", caption_extension=".txt", subfolders=True,
    )[0]


def template(dataset: Any, text: str, **inputs: Any) -> tuple[Any, ...]:
    captions = importlib.import_module("lora_kiln.nodes.captions")
    values = {"trigger": "anat", "default_subject": "plate", "apply_to": "all pictures"}
    return run(captions.KilnTemplateCaptions, dataset=dataset, template=text, **(values | inputs))


def edit(nodes: ModuleType, dataset: Any, **changes: Any) -> tuple[Any, ...]:
    """With the values that its widgets have."""
    values = {
        i.id: i.default for i in nodes.KilnEditCaptions.GET_SCHEMA().inputs
        if i.id not in ("dataset", "clip")
    }
    return run(nodes.KilnEditCaptions, dataset=dataset, **(values | changes))


def save(nodes: ModuleType, dataset: Any, mode: str, folder: str = "mine") -> tuple[Any, ...]:
    return run(nodes.KilnSaveCaptions, dataset=dataset, mode=mode, folder=folder)


def captions_of(dataset: Any) -> dict[str, str | None]:
    return {item.name: item.caption for item in dataset.items}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*")) if p.is_file() and ".kiln" not in p.parts
    }


def test_every_input_and_output_is_explained(nodes: ModuleType) -> None:
    encode = importlib.import_module("lora_kiln.nodes.encode_prompt")
    for node in (*nodes.NODES, *encode.NODES):
        schema = node.GET_SCHEMA()
        assert schema.category == "LoRA Kiln/captions"
        for socket in (*schema.inputs, *schema.outputs):
            assert socket.tooltip, f"{schema.node_id}: {socket}"
        assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file()
        assert node.INPUT_TYPES()
        assert node.__name__ == schema.node_id


def test_folder_template_edit_save_reload(nodes: ModuleType, base: Path) -> None:
    before = files_of(base / "plates")
    dataset = load()
    dataset = dataset.with_captions([c or "sketch" for c in captions_of(dataset).values()])
    written, _ = template(dataset, "a {subject}, {caption}")
    edited, preview = edit(
        nodes, written, trigger="anat", remove_duplicates=True, spaces="spaces", order="a to z",
        keep_tokens=1,
    )
    assert "3 of 3 captions change." in preview
    assert "  + anat, a plate, (ink), engraving, long hair" in preview
    assert files_of(base / "plates") == before
    saved, summary = save(nodes, edited, "overwrite")
    assert "input/plates: 3 caption files written." in summary
    assert captions_of(load()) == captions_of(edited) == captions_of(saved)
    assert load().fingerprint == edited.fingerprint
    assert [item.caption_file for item in saved.items] == ["a.txt", "b.txt", "hand/c.txt"]
    _, again = save(nodes, load(), "overwrite")
    assert "0 caption files written, 3 were the same already" in again
    _, undone = save(nodes, edited, "undo the last save")
    assert "plates: 3 caption files are as before" in undone
    assert files_of(base / "plates") == before
    with pytest.raises(ValueError, match="No captions were saved"):
        save(nodes, edited, "undo the last save")


def test_modes(nodes: ModuleType, base: Path) -> None:
    dataset = load().with_captions(["new a", "new b", "new c"])
    old = (base / "plates" / "a.txt").read_bytes()
    _, summary = save(nodes, dataset, "skip existing")
    assert "1 caption files written, 2 left alone: a.png, b.png" in summary
    assert (base / "plates" / "hand" / "c.txt").read_text() == "new c"
    save(nodes, dataset, "only empty")
    assert (base / "plates" / "b.txt").read_text() == "new b"
    assert (base / "plates" / "a.txt").read_bytes() == old
    save(nodes, dataset.with_captions(["x", None, None]), "overwrite")
    assert (base / "plates" / "a.txt").read_text() == "x"


def test_shared_captions_get_files_of_their_own(nodes: ModuleType, base: Path) -> None:
    folder = base / "plates"
    table = "file_name,caption\nhand/c.png,from the table\n"
    (folder / "metadata.csv").write_text(table, encoding="utf-8")
    dataset = load()
    assert captions_of(dataset)["hand/c.png"] == "from the table"
    _, summary = save(nodes, dataset.with_captions(["a", "b", "changed"]), "skip existing")
    assert "came from a file that they share" in summary
    assert (folder / "metadata.csv").read_text("utf-8") == table
    assert captions_of(load())["hand/c.png"] == "changed"


def test_two_pictures_with_one_caption_file(nodes: ModuleType, base: Path) -> None:
    Image.new("RGB", (160, 128)).save(base / "plates" / "a.jpg")
    before = files_of(base / "plates")
    dataset = load()
    numbered = dataset.with_captions([f"caption {n}" for n in range(len(dataset))])
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png share the caption file a\.txt"):
        save(nodes, numbered, "overwrite")
    assert files_of(base / "plates") == before


def test_provenance(nodes: ModuleType, base: Path) -> None:
    from lora_kiln.dataset.save_captions import read_provenance

    edited, _ = edit(nodes, load(), trigger="anat")
    save(nodes, edited, "overwrite")
    (file,) = (base / "plates" / ".kiln" / "captions").glob("*.json")
    rows = json.loads(file.read_text("utf-8"))
    assert rows["a.txt"]["made_by"] == {"caption": {"edits": [{"trigger": "anat"}]}}
    assert rows["a.txt"]["caption"].startswith("anat, long_hair")
    assert read_provenance(edited.items[0].origin, file.stem) == rows
    assert len(load()) == 3


def test_images_of_the_graph(nodes: ModuleType, base: Path) -> None:
    from lora_kiln.dataset.arrays import dataset_from_images

    batch = torch.rand(2, 128, 160, 3)
    alpha = torch.rand(1, 160, 128, 4)
    dataset: Any = dataset_from_images([batch, alpha], ["one", "two", "three"], name="drawn")
    _, summary = save(nodes, dataset, "skip existing")
    assert "input/kiln/mine: 3 pictures and their captions written" in summary
    again = load("input/kiln/mine")
    assert list(captions_of(again).items()) == [
        ("drawn_001.png", "one"), ("drawn_002.png", "two"), ("drawn_003.png", "three")
    ]
    for item, wanted in zip(again.items, dataset.items, strict=True):
        with Image.open(item.source.path) as image:
            assert np.array_equal(np.asarray(image), wanted.source.pixels)
    _, summary = save(nodes, dataset, "overwrite")
    assert "holds these 3 pictures and captions already" in summary
    _, summary = save(nodes, dataset.with_captions(["a", "b", "c"]), "overwrite")
    assert "input/kiln/mine-002" in summary
    assert captions_of(load("input/kiln/mine")) == captions_of(again)
    assert sorted(p.name for p in (base / "kiln").iterdir()) == ["mine", "mine-002"]


def test_a_save_that_is_cancelled_leaves_nothing(nodes: ModuleType, base: Path) -> None:
    from lora_kiln.dataset.arrays import dataset_from_images
    from lora_kiln.dataset.save_folder import save_folder

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    dataset = dataset_from_images([torch.rand(3, 16, 16, 3)], ["x"])
    with pytest.raises(KeyboardInterrupt):
        save_folder(dataset.items, base / "kiln" / "half", background="white", progress=stop)
    assert list((base / "kiln").iterdir()) == []


def test_the_demo_stays_as_it_is(nodes: ModuleType, base: Path) -> None:
    before = files_of(ROOT / "demo" / "style")
    dataset = load("demo/style")
    _, summary = save(nodes, dataset.with_captions(["x"] * len(dataset)), "overwrite", "copied")
    assert "input/kiln/copied" in summary
    assert files_of(ROOT / "demo" / "style") == before
    assert not (ROOT / "demo" / "style" / ".kiln").exists()
    copied = load("input/kiln/copied")
    assert {i.source.sha256 for i in copied.items} == {i.source.sha256 for i in dataset.items}


def test_names_that_lead_elsewhere(nodes: ModuleType, base: Path) -> None:
    check = nodes.KilnSaveCaptions.validate_inputs
    assert check() is True
    assert check(folder="my pictures") is True
    for bad in ("../x", "a/b", "", "C:\\x", "con", "..", "a."):
        assert check(folder=bad) is not True, bad
        from lora_kiln.dataset.arrays import dataset_from_images

        with pytest.raises(ValueError, match="The folder's name"):
            save(nodes, dataset_from_images([torch.rand(1, 8, 8, 3)], ["x"]), "overwrite", bad)


def test_edit_refuses_before_the_graph_runs(nodes: ModuleType) -> None:
    check = nodes.KilnEditCaptions.validate_inputs
    assert check() is True
    assert check(find="(", find_as="text") is True
    assert "regular expression" in str(check(find="(", find_as="regular expression"))
    assert "several lines" in str(check(trigger="a\nb"))


def test_previews_count_tokens(nodes: ModuleType, base: Path, demo_clip: Any) -> None:
    dataset = load().with_captions(["red circle", ", ".join(["short hair"] * 40), None])
    _, preview = edit(nodes, dataset, clip=demo_clip)
    lines = preview.splitlines()
    assert "a.png: red circle [2/75 tokens]" in lines
    marked = next(line for line in lines if line.startswith("b.png"))
    assert marked.endswith("[119 tokens: 75 + 44]")
    assert marked.count("┃") == 1
    dataset = dataset.with_captions(["x", "y", "z"])
    _, preview = template(dataset, "{trigger}, {caption}", clip=demo_clip)
    assert preview.splitlines()[0].startswith("a.png: anat, x [")


@pytest.fixture(scope="module")
def demo_clip(comfy: Path) -> Any:
    return importlib.import_module("lora_kiln.tests.host.tiny_sdxl").make_clip()
