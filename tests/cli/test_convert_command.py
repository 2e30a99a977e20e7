"""``kiln.py convert``: files, folders, patterns, exit statuses, and nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lora_kiln.tests.cli.conftest import ROOT, Run
from lora_kiln.tests.lora_format.failure_rows import BLOCK, CLIP, OWN, SDXL
from lora_kiln.tests.lora_format.small_files import (
    Tensors,
    kohya,
    pairs,
    write,
    write_tiny_sdxl,
)


def diffusers(path: Path) -> Path:
    """What ComfyUI passes over, and converting mends."""
    return write(path, pairs(SDXL, prefix="unet."))


def half_known(path: Path) -> Path:
    """One layer that is known, and one that no model has."""
    modules = {f"{BLOCK}attn2.to_k": (640, 2048), "no.such": (4, 4)}
    return write(path, pairs(modules, prefix="unet."))


def files_in(folder: Path) -> list[str]:
    """Everything below a folder."""
    found = folder.rglob("*")
    return sorted(str(path.relative_to(folder)) for path in found if path.is_file())


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        found: dict[str, str] = file.metadata()
    return found


def test_a_process_of_its_own(python: Run, tmp_path: Path) -> None:
    done = python("-c", "import folder_paths")
    assert "is blocked by this test" in done.err
    diffusers(tmp_path / "good.safetensors")
    done = python(ROOT / "kiln.py", "convert", "good.safetensors", "new")
    assert (done.status, done.err) == (0, "")
    assert files_in(tmp_path / "new") == ["good_comfyui.safetensors"]
    half_known(tmp_path / "half.safetensors")
    done = python(ROOT / "kiln.py", "convert", "half.safetensors", "new")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("half.safetensors: ")
    done = python(ROOT / "kiln.py", "convert", "missing.safetensors")
    assert done.status == 2
    assert done.err.startswith("missing.safetensors leads to no file.")


def test_a_file_becomes_one_beside_it(kiln: Run, tmp_path: Path) -> None:
    source = diffusers(tmp_path / "style.safetensors")
    before = source.read_bytes()
    done = kiln("convert", source.name)
    assert done.status == 0, done.err
    assert "style.safetensors: diffusers, sdxl, 2 layers" in done.out
    assert "written  style_comfyui.safetensors" in done.out
    assert "proof    largest relative difference 0.0e+00" in done.out
    assert files_in(tmp_path) == ["style.safetensors", "style_comfyui.safetensors"]
    assert source.read_bytes() == before
    new = tmp_path / "style_comfyui.safetensors"
    assert all(key.startswith("lora_unet_input_blocks_4_1_") for key in load_file(new))
    assert metadata_of(new)["kiln_source_name"] == "style.safetensors"
    assert kiln("convert", source.name).status == 0
    assert len(files_in(tmp_path)) == 2, "the same again is no new file"


def test_in_and_out_and_json(kiln: Run, tmp_path: Path) -> None:
    diffusers(tmp_path / "a.safetensors")
    done = kiln("convert", "a.safetensors", "new/b.safetensors", "--json", "--dtype", "fp16")
    assert (done.status, done.err) == (0, "")
    [report] = json.loads(done.out)
    assert report["written"] == str(Path("new/b.safetensors"))
    assert report["layers"] == 2
    assert report["family"] == "sdxl"
    assert report["format"] == ["diffusers"]
    assert report["left_out"] == []
    assert 0 < report["worst_error"] < 2e-3
    dtypes = {tensor.dtype for tensor in load_file(tmp_path / "new/b.safetensors").values()}
    assert dtypes == {torch.float16}


def test_folders_and_patterns_into_a_folder(kiln: Run, tmp_path: Path) -> None:
    for name in ("a", "sub/b", "sub/c"):
        diffusers(tmp_path / "loras" / f"{name}.safetensors")
    (tmp_path / "loras/notes.txt").write_text("no LoRA", "utf-8")
    done = kiln("convert", "loras", "out")
    assert done.status == 0, done.err
    expected = [f"{name}_comfyui.safetensors" for name in "abc"]
    assert files_in(tmp_path / "out") == expected
    done = kiln("convert", "loras/sub/*.safetensors", "loras/a.safetensors", "--out", "second")
    assert done.status == 0, done.err
    assert files_in(tmp_path / "second") == expected
    done = kiln("convert", "loras", "--out", "third.safetensors")
    assert done.status == 2
    assert "3 files shall become the one file third.safetensors" in done.err
    assert not (tmp_path / "third.safetensors").exists()


def test_one_bad_file_does_not_keep_the_others_back(kiln: Run, tmp_path: Path) -> None:
    diffusers(tmp_path / "loras/good.safetensors")
    (tmp_path / "loras/bad.safetensors").write_bytes(b"not at all")
    done = kiln("convert", "loras", "out", "--json")
    assert done.status == 1
    bad, good = json.loads(done.out)
    assert "bad.safetensors" in bad["error"]
    assert good["written"] == str(Path("out/good_comfyui.safetensors"))
    assert files_in(tmp_path / "out") == ["good_comfyui.safetensors"]


def test_what_would_be_lost_stops_it_or_is_told(kiln: Run, tmp_path: Path) -> None:
    half_known(tmp_path / "half.safetensors")
    done = kiln("convert", "half.safetensors", "out")
    assert done.status == 1
    assert "unet.no.such.lora_A.weight" in done.err
    assert "--lossy" in done.err
    assert files_in(tmp_path) == ["half.safetensors"]
    assert not (tmp_path / "out").exists()
    done = kiln("convert", "half.safetensors", "out", "--lossy")
    assert done.status == 1, "something was lost"
    assert "LEFT OUT" in done.out
    assert "no.such" in done.out
    assert files_in(tmp_path / "out") == ["half_comfyui.safetensors"]


def test_unknown_files_and_words(kiln: Run, tmp_path: Path) -> None:
    done = kiln("convert", "missing.safetensors")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("missing.safetensors leads to no file.")
    assert kiln("convert", "missing/*.safetensors", "--out", "new").status == 2
    assert kiln("convert").status == 2
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("to", ["diffusers", "peft"])
def test_other_programs_files(to: str, kiln: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", kohya(OWN, "lora_unet_", alpha=1, rank=4))
    done = kiln("convert", "a.safetensors", "--to", to, "--json")
    assert done.status == 0, done.out
    [report] = json.loads(done.out)
    new = tmp_path / report["written"]
    if to == "peft":
        assert new == tmp_path / "a_peft/adapter_model.safetensors"
        config = json.loads(new.with_name("adapter_config.json").read_text("utf-8"))
        assert (config["r"], config["lora_alpha"]) == (4, 1)
    else:
        assert new == tmp_path / "a_diffusers.safetensors"
        settings = json.loads(metadata_of(new)["lora_adapter_metadata"])
        assert (settings["unet.r"], settings["unet.lora_alpha"]) == (4, 1)


def test_a_family_is_named_where_the_file_leaves_it_open(kiln: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", kohya({f"{CLIP}mlp.fc1": (3072, 768)}, "lora_te_"))
    done = kiln("convert", "a.safetensors")
    assert done.status == 1
    assert "--family flux1, sd15 or sdxl" in done.err
    assert kiln("convert", "a.safetensors", "--family", "sdxl").status == 0
    keys = load_file(tmp_path / "a_comfyui.safetensors")
    assert all(key.startswith("lora_te1_") for key in keys)
    done = kiln("convert", "a.safetensors", "--family", "sd3")
    assert done.status == 2
    assert "invalid choice" in done.err


def test_an_adapter_is_chosen(kiln: Run, tmp_path: Path) -> None:
    both: Tensors = {}
    for name, rank in (("one", 2), ("two", 3)):
        both |= pairs(SDXL, f".lora_A.{name}.weight", f".lora_B.{name}.weight", rank=rank,
                      prefix="base_model.model.")
    write(tmp_path / "a.safetensors", both)
    done = kiln("convert", "a.safetensors")
    assert done.status == 1
    assert "several adapters: one, two" in done.err
    assert kiln("convert", "a.safetensors", "--adapter", "two").status == 0
    new = load_file(tmp_path / "a_comfyui.safetensors")
    assert {len(factor) for key, factor in new.items() if "lora_down" in key} == {3}


def test_a_base_model_serves_where_weights_are_needed(kiln: Run, tmp_path: Path) -> None:
    name = f"unet.{BLOCK}attn1.to_q"
    tensors = pairs({f"{BLOCK}attn1.to_q": (32, 32)}, prefix="unet.")
    write(tmp_path / "a.safetensors",
          tensors | {f"{name}.lora_magnitude_vector": torch.ones(32)})
    write_tiny_sdxl(tmp_path / "model.safetensors")
    done = kiln("convert", "a.safetensors")
    assert done.status == 1
    assert "--base FILE" in done.err
    done = kiln("convert", "a.safetensors", "--base", "model.safetensors")
    assert done.status == 0, done.err
    [key] = load_file(tmp_path / "a_comfyui.safetensors")
    assert key == "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.diff"
    done = kiln("convert", "a.safetensors", "--base", "a.safetensors", "--out", "new")
    assert done.status == 2
    assert "no model of a known family" in done.err
    assert not (tmp_path / "new").exists()


def test_trained_words_go_where_they_are_told(kiln: Run, tmp_path: Path) -> None:
    words: dict[str, Any] = {"bundle_emb.my word.clip_l": torch.ones(2, 768),
                             "bundle_emb.my word.clip_g": torch.ones(2, 1280)}
    write(tmp_path / "a.safetensors", kohya(OWN, "lora_unet_") | words)
    done = kiln("convert", "a.safetensors", "new", "--embeddings", "words")
    assert done.status == 0, done.err
    assert files_in(tmp_path / "new") == ["a_comfyui.safetensors"]
    assert files_in(tmp_path / "words") == ["my_word.safetensors"]


def test_a_place_that_cannot_be_written(kiln: Run, tmp_path: Path) -> None:
    diffusers(tmp_path / "a.safetensors")
    (tmp_path / "file").write_text("no folder", "utf-8")
    done = kiln("convert", "a.safetensors", "--out", "file/new.safetensors")
    assert done.status == 1
    assert "a.safetensors: It cannot be read or written" in done.err
    assert files_in(tmp_path) == ["a.safetensors", "file"]
