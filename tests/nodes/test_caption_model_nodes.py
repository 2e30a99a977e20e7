"""Tag Captions and Describe Captions as nodes: from a folder of pictures to captions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import HostError, MissingLibrary
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray
from lora_kiln.tests.dataset.tiny_tagger import save_tagger
from lora_kiln.tests.host.tiny_vlm import WORDS, save_llava

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nodes(comfy: Path) -> ModuleType:
    del comfy
    return importlib.import_module("lora_kiln.nodes.caption_models")


@pytest.fixture
def folders(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Models and output of this test alone."""
    del comfy
    module: Any = importlib.import_module("folder_paths")
    monkeypatch.setattr(module, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(module, "output_directory", str(tmp_path / "output"))
    known = {k: v for k, v in module.folder_names_and_paths.items() if k not in KEYS}
    monkeypatch.setattr(module, "folder_names_and_paths", known)
    return module


KEYS = ("LLM", "wd14_tagger")
WALLS = Dataset(
    tuple(
        DatasetItem(name, PictureArray(name, np.full((20, 30, 3), rgb, dtype=np.uint8)))
        for name, rgb in (("r.png", (250, 0, 0)), ("b.png", (0, 0, 250)))
    ),
    "walls",
)


def noise(count: int = 3) -> Dataset:
    items = []
    for n in range(count):
        chance = np.random.default_rng(n).integers(0, 256, (3, 4, 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(chance).resize((40, 30), Image.Resampling.NEAREST))
        items.append(DatasetItem(f"{n}", PictureArray(f"{n}", pixels)))
    return Dataset(tuple(items), "noise")


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """Execute a node as ComfyUI does: with every widget, on a clone, in inference mode."""
    defaults = {
        one.id: one.default
        for one in node.GET_SCHEMA().inputs
        if getattr(one, "default", None) is not None
    }
    clone = node.PREPARE_CLASS_CLONE(None)
    with torch.inference_mode():
        return tuple(clone.execute(**(defaults | inputs)).args)


def test_every_input_and_output_is_explained(nodes: ModuleType) -> None:
    for node in nodes.NODES:
        schema = node.GET_SCHEMA()
        assert (schema.node_id, schema.category) == (node.__name__, "LoRA Kiln/captions")
        for socket in (*schema.inputs, *schema.outputs):
            assert socket.tooltip, f"{schema.node_id}: {socket}"
        page = (ROOT / "web" / "docs" / f"{schema.node_id}.md").read_text("utf-8")
        for socket in schema.inputs:
            assert f"**{socket.id}**" in page, f"{schema.node_id}: {socket.id}"
        assert node.INPUT_TYPES()


def test_tags_from_the_models_folder(nodes: ModuleType, folders: ModuleType) -> None:
    save_tagger(Path(folders.models_dir) / "wd14_tagger" / "mine")
    model = nodes.KilnTagCaptions.GET_SCHEMA().inputs[1]
    assert model.options[:2] == ["mine", "wd-eva02-large-tagger-v3"]
    assert "wd14_tagger" not in folders.folder_names_and_paths
    tagged, preview = run(nodes.KilnTagCaptions, dataset=WALLS, model="mine", trigger="kp")
    assert preview.splitlines() == ["r.png: kp, red hair", "b.png: kp, blue sky"]
    assert [it.caption for it in tagged.items] == ["kp, red hair", "kp, blue sky"]
    kept = Path(folders.output_directory) / "kiln" / "cache" / "tags"
    assert len(list(kept.rglob("*.safetensors"))) == 2
    _, preview = run(nodes.KilnTagCaptions, dataset=WALLS, model="mine", variable="tags")
    assert preview.splitlines() == ["r.png: red hair", "b.png: blue sky"]
    assert folders.get_folder_paths("wd14_tagger") == [
        str(Path(folders.models_dir) / "wd14_tagger")
    ]


def test_taggers_of_registered_folders_come_first(
    nodes: ModuleType, folders: ModuleType, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    folders.folder_names_and_paths["wd14_tagger"] = ([str(theirs)], {".onnx"})
    save_tagger(theirs, name="wd-v1-4-moat-tagger-v2")
    save_tagger(Path(folders.models_dir) / "wd14_tagger" / "mine")
    names = nodes.KilnTagCaptions.GET_SCHEMA().inputs[1].options
    assert names[:2] == ["mine", "wd-v1-4-moat-tagger-v2"]
    assert names.count("wd-v1-4-moat-tagger-v2") == 1
    tagged, _ = run(
        nodes.KilnTagCaptions, dataset=WALLS, model="wd-v1-4-moat-tagger-v2",
        thresholds="P=R of the model",
    )
    assert tagged.items[0].provenance["caption"]["general_threshold"] == 0.3771
    assert folders.get_folder_paths("wd14_tagger")[0] == str(theirs)


def test_a_missing_tagger_or_runtime_is_told_before_the_graph_runs(
    nodes: ModuleType, folders: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = nodes.KilnTagCaptions.validate_inputs
    assert check() is True
    said = str(check(model="wd-eva02-large-tagger-v3"))
    assert str(Path(folders.models_dir) / "wd14_tagger" / "wd-eva02-large-tagger-v3") in said
    assert "SmilingWolf/wd-eva02-large-tagger-v3" in said
    assert "no tagger '../../x'" in str(check(model="../../x"))
    save_tagger(Path(folders.models_dir) / "wd14_tagger" / "mine")
    assert check(model="mine") is True
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingLibrary, match="pip install onnxruntime"):
        run(nodes.KilnTagCaptions, dataset=WALLS, model="mine")


def test_descriptions_by_a_model_of_the_models_folder(
    nodes: ModuleType, folders: ModuleType
) -> None:
    save_llava(Path(folders.models_dir) / "LLM" / "small")
    assert nodes.KilnDescribeCaptions.GET_SCHEMA().inputs[1].options == [
        "connected CLIP", "LLM/small",
    ]
    made, preview = run(
        nodes.KilnDescribeCaptions, dataset=noise(), model="LLM/small", max_tokens=6,
        trigger="kp",
    )
    for line, item in zip(preview.splitlines(), made.items, strict=True):
        assert line == f"{item.name}: {item.caption}"
        first, words = item.caption.split(", ", 1)
        assert first == "kp" and set(words.split()) <= set(WORDS)


def test_a_question_fills_the_subject_of_a_template(
    nodes: ModuleType, folders: ModuleType
) -> None:
    template = importlib.import_module("lora_kiln.nodes.captions").KilnTemplateCaptions
    save_llava(Path(folders.models_dir) / "LLM" / "small")
    asked, _ = run(
        nodes.KilnDescribeCaptions, dataset=noise(), model="LLM/small", max_tokens=6,
        prompt="woman, man or child?", variable="subject", answers="woman, man, child",
        fallback="somebody",
    )
    subjects = [it.subject for it in asked.items]
    assert set(subjects) <= {"woman", "man", "child", "somebody"}
    made, _ = run(
        template, dataset=asked, template="{trigger}, portrait of a {subject}", trigger="laz"
    )
    assert [it.caption for it in made.items] == [f"laz, portrait of a {s}" for s in subjects]
    with pytest.raises(HostError, match="nothing is connected to clip"):
        run(nodes.KilnDescribeCaptions, dataset=noise(), model="connected CLIP")


def test_a_missing_or_unsafe_model_is_told_before_the_graph_runs(
    nodes: ModuleType, folders: ModuleType
) -> None:
    check = nodes.KilnDescribeCaptions.validate_inputs
    assert check() is True
    assert check(model="connected CLIP") is True
    assert "Qwen/Qwen2.5-VL-3B-Instruct" in str(check(model="LLM/x"))
    assert "name" in str(check(model="LLM/../x"))
    folder = Path(folders.models_dir) / "LLM" / "x"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llava"}')
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert "can run programs" in str(check(model="LLM/x"))


def test_exchanged_files_of_a_model_run_the_node_again(
    nodes: ModuleType, folders: ModuleType
) -> None:
    def stamps() -> tuple[Any, Any]:
        return (
            nodes.KilnTagCaptions.fingerprint_inputs(model="mine", trigger="x"),
            nodes.KilnDescribeCaptions.fingerprint_inputs(model="LLM/small"),
        )

    tagger = save_tagger(Path(folders.models_dir) / "wd14_tagger" / "mine")
    model = save_llava(Path(folders.models_dir) / "LLM" / "small")
    first = stamps()
    assert first == stamps() and all(first)
    (tagger / "selected_tags.csv").write_text("name,category\nx,0\n")
    (model / "generation_config.json").write_text("{}")
    assert all(new != old for new, old in zip(stamps(), first, strict=True))
    assert nodes.KilnTagCaptions.fingerprint_inputs(model="gone") == []
    assert nodes.KilnDescribeCaptions.fingerprint_inputs(model="LLM/gone") == []
    linked = nodes.KilnTagCaptions.fingerprint_inputs()
    assert linked != linked
