"""``kiln.py inspect``: the verdict, JSON, exit statuses, and a model to hold files against."""

from __future__ import annotations

import json
from pathlib import Path

from lora_kiln.tests.cli.conftest import ROOT, Run
from lora_kiln.tests.lora_format.failure_rows import OWN, SD15, SDXL, Z_IMAGE
from lora_kiln.tests.lora_format.small_files import kohya, pairs, write, write_tiny_sdxl


def test_a_process_of_its_own(python: Run, tmp_path: Path) -> None:
    write(tmp_path / "good.safetensors", kohya(OWN, "lora_unet_"))
    done = python(ROOT / "kiln.py", "inspect", "good.safetensors")
    assert (done.status, done.err) == (0, "")
    assert "is in order" in done.out
    write(tmp_path / "bad.safetensors", pairs(SDXL, prefix="unet."))
    done = python(ROOT / "kiln.py", "inspect", "*.safetensors")
    assert (done.status, done.err) == (1, "")


def test_the_verdict_comes_first(kiln: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", pairs(SDXL, prefix="unet."))
    done = kiln("inspect", "a.safetensors")
    assert (done.status, done.err) == (1, "")
    path, verdict, remedy, *facts = done.out.splitlines()
    assert path == "a.safetensors"
    assert verdict.startswith("  The LoRA does nothing")
    assert remedy.startswith("  Convert it")
    assert [line.split() for line in facts] == [
        ["format", "diffusers"], ["model", "SDXL"],
        ["keys", "0", "read", "by", "ComfyUI,", "4", "not"],
        ["layers", "unet", "×", "2"], ["kind", "LoRA", "×", "2"], ["rank", "2", "×", "2"],
        ["alpha", "2", "×", "2"],
    ]
    assert kiln("convert", "a.safetensors").status == 0
    done = kiln("inspect", "a_comfyui.safetensors")
    assert done.status == 0
    assert "is in order" in done.out


def test_several_files_as_json(kiln: Run, tmp_path: Path) -> None:
    write(tmp_path / "loras/a.safetensors", kohya(OWN, "lora_unet_"), {"ss_note": "hello"})
    broken = kohya(OWN, "lora_unet_")
    broken["lora_unet_input_blocks_4_1_proj_in.lora_up.weight"] *= float("nan")
    write(tmp_path / "loras/b.safetensors", broken)
    (tmp_path / "loras/c.safetensors").write_bytes(b"nonsense")
    (tmp_path / "d.pt").write_bytes(b"\x80\x02}q\x00.")
    done = kiln("inspect", "loras", "d.*", "--json")
    assert (done.status, done.err) == (1, "")
    reports = json.loads(done.out, parse_constant=lambda text: f"{text} is no JSON")
    assert [report["rule"] for report in reports] == [
        "in-order", "not-a-number", "not-a-file", "not-a-file"
    ]
    assert [report["works"] for report in reports] == [True, False, False, False]
    first = reports[0]
    assert first["metadata"] == {"ss_note": "hello"}
    assert first["matched"] == 6
    assert first["unmatched"] == []
    assert first["layers"][0]["rank"] == 2
    assert first["layers"][0]["norm"] > 0
    assert reports[1]["layers"][0]["norm"] is None
    assert "no JSON" not in done.out
    assert kiln("inspect", "loras/a.*").status == 0


def test_against_a_model(kiln: Run, tmp_path: Path) -> None:
    write_tiny_sdxl(tmp_path / "model.safetensors")
    write(tmp_path / "a.safetensors", kohya({"input_blocks.4.1.proj_in": (32, 32)}, "lora_unet_"))
    done = kiln("inspect", "a.safetensors")
    assert done.status == 1
    assert "another size or depth" in done.out
    done = kiln("inspect", "a.safetensors", "--base", "model.safetensors", "--json")
    assert done.status == 0, done.out
    [report] = json.loads(done.out)
    assert 0 < report["layers"][0]["relative"] < 1
    write(tmp_path / "b.safetensors", kohya(SD15, "lora_unet_"))
    done = kiln("inspect", "b.safetensors", "--family", "sdxl")
    assert done.status == 1
    assert "a LoRA for SD 1.5 and cannot work with SDXL" in done.out


def test_comfyuis_version(kiln: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", pairs(Z_IMAGE, prefix="diffusion_model."))
    done = kiln("inspect", "a.safetensors", "--comfyui-version", "0.3.75")
    assert done.status == 1
    assert "ComfyUI 0.3.75 is too old" in done.out
    assert kiln("inspect", "a.safetensors", "--comfyui-version", "v0.3.76").status == 0
    done = kiln("inspect", "a.safetensors", "--comfyui-version", "newest")
    assert done.status == 2
    assert "'newest' is given as ComfyUI's version" in done.err


def test_what_is_not_there(kiln: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("missing.safetensors", "empty", "*.safetensors"):
        done = kiln("inspect", name)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(f"{name} leads to no file.")


def test_an_adapter_is_chosen(kiln: Run, tmp_path: Path) -> None:
    both = {
        key.replace(".weight", f".{name}.weight"): tensor
        for name in ("one", "two") for key, tensor in pairs(SDXL, prefix="unet.").items()
    }
    write(tmp_path / "a.safetensors", both)
    done = kiln("inspect", "a.safetensors")
    assert done.status == 1
    assert "several adapters: one, two" in done.out
    done = kiln("inspect", "a.safetensors", "--adapter", "one", "--json")
    [report] = json.loads(done.out)
    assert report["rule"] == "unread-names"
