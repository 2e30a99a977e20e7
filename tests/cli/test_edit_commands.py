"""``kiln.py merge``, ``resize``, ``extract`` and ``bake`` as people call them, without ComfyUI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_kiln.lora_format.ir import Layer, Target
from lora_kiln.lora_format.read import read
from lora_kiln.tests.cli.conftest import ROOT, Done, Run
from lora_kiln.tests.lora_format.small_loras import (
    CONV,
    FEED,
    QUERY,
    SDXL,
    Changes,
    Maker,
    changes_of,
    largest_error,
    total,
    written,
)


def small_checkpoint(path: Path, layers: list[Layer] | None = None) -> Path:
    """A checkpoint of the small model, with a LoRA merged in."""
    make = Maker(SDXL)
    tensors = {f"{name}.weight": make.random(*shape)
               for name, shape in SDXL.table["unet"].shapes.items()}
    for (_, name, _), change in changes_of(layers or [], SDXL.table).items():
        weight = tensors[f"{name}.weight"]
        tensors[f"{name}.weight"] = weight + change.reshape(weight.shape).to(weight.dtype)
    save_file({f"model.diffusion_model.{key}": value for key, value in tensors.items()}, path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of the small model."""
    return small_checkpoint(tmp_path_factory.mktemp("model") / "small.safetensors")


def report_of(done: Done) -> dict[str, Any]:
    """The only report of ``--json``."""
    assert done.out, done.err
    [found] = json.loads(done.out)
    return found


def changes(path: str | Path) -> Changes:
    return changes_of(read(Path(path), SDXL).lora.layers, SDXL.table)


def test_merge(kiln: Run, tmp_path: Path, base: Path) -> None:
    one = [Maker(SDXL, 1).lora(QUERY), Maker(SDXL, 2).loha(FEED)]
    two = [Maker(SDXL, 3).lora(QUERY, 5), Maker(SDXL, 4).lora(CONV)]
    files = [written(tmp_path / "one.safetensors", SDXL, one, "kohya"),
             written(tmp_path / "two.safetensors", SDXL, two, "diffusers")]
    done = kiln("merge", *files, "--weights", "0.5", "-2", "--base", base, "--json")
    assert done.status == 0, done.err
    assert report_of(done)["written"] == str(tmp_path / "merged.safetensors")
    wanted = total(changes_of(one, SDXL.table, 0.5), changes_of(two, SDXL.table, -2))
    assert largest_error(changes(report_of(done)["written"]), wanted) < 1e-6
    # merged.safetensors stands there as well when the pattern is read; the folder is no file.
    (tmp_path / "folder.safetensors").mkdir()
    done = kiln("merge", tmp_path / "*.safetensors", "--method", "svd", "--rank", 2, "--base", base,
                "--out", tmp_path / "out" / "cut.safetensors")
    assert done.status == 0, done.err
    assert "ranks 2 ×" in done.out
    assert (tmp_path / "out" / "cut.safetensors").is_file()


def test_what_cannot_be_merged(kiln: Run, tmp_path: Path, base: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY)]
    files = [written(tmp_path / f"{name}.safetensors", SDXL, layers) for name in ("one", "two")]
    broken = tmp_path / "broken" / "three.safetensors"
    broken.parent.mkdir()
    stray = {f"lora_unet_nothing.lora_{side}.weight": torch.ones(2, 2) for side in ("up", "down")}
    save_file({**stray, **load_file(files[0])}, broken)
    done = kiln("merge", *files, "--weights", 1, "--base", base)
    assert (done.status, "--weights has 1 numbers for 2 files" in done.err) == (2, True)
    done = kiln("merge", files[0], "--base", base)
    assert (done.status, "two or more" in done.err) == (2, True)
    done = kiln("merge", *files, broken, "--base", base)
    assert (done.status, "not understood" in done.err) == (2, True)
    done = kiln("merge", *files, broken, "--base", base, "--lossy", "--out", tmp_path / "lossy",
                "--json")
    assert done.status == 1
    assert report_of(done)["left_out"][0].startswith("three.safetensors: 2 of its keys are not und")
    assert Path(report_of(done)["written"]) == tmp_path / "lossy" / "merged.safetensors"
    done = kiln("merge", *files, "--base", base, "--out", files[0] / "x.safetensors")
    assert (done.status, "A file cannot be read or written" in done.err) == (2, True)


def test_resize(kiln: Run, tmp_path: Path, base: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY, 6), Maker(SDXL, 2).lora(CONV, 6)]
    folder = tmp_path / "in"
    folder.mkdir()
    file = written(folder / "style.safetensors", SDXL, layers)
    written(folder / "other.safetensors", SDXL, layers)
    ranked = kiln("resize", file, "--rank", 2, "--base", base, "--json")
    assert ranked.status == 0, ranked.err
    report = report_of(ranked)
    assert report["written"] == str(folder / "style_rank2.safetensors")
    assert {module["rank"] for module in report["modules"]} == {2}
    assert 0 < report["kept"] < 1
    assert changes(report["written"]).keys() == changes(file).keys()
    again = kiln("resize", file, "--rank", 2, "--base", base, "--json")
    assert report_of(again)["written"] == report["written"]
    done = kiln("resize", file, "--energy", 0.9, "--blocks", "attn1=1", "--base", base)
    assert done.status == 0, done.err
    assert "kept" in done.out and str(folder / "style_energy90.safetensors") in done.out
    done = kiln("resize", file, "--rank", 0, "--base", base)
    assert (done.status, "rank is 0" in done.err) == (2, True)


def test_many_files_are_resized_into_a_folder(kiln: Run, tmp_path: Path, base: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("style", "other"):
        written(folder / f"{name}.safetensors", SDXL, [Maker(SDXL, 1).lora(QUERY, 6)])
    (folder / "broken.safetensors").write_bytes(b"nonsense")
    done = kiln("resize", folder, "--rank", 3, "--base", base, "--out", tmp_path / "out", "--json")
    assert done.status == 1
    broken, *others = json.loads(done.out)
    assert broken["source"] == str(folder / "broken.safetensors") and broken["error"]
    names = [Path(report["written"]).name for report in others]
    assert names == ["other_rank3.safetensors", "style_rank3.safetensors"]
    for out in (tmp_path / "new.safetensors", folder / "style.safetensors"):
        done = kiln("resize", folder, "--rank", 3, "--base", base, "--out", out)
        assert (done.status, "3 files shall become the one file" in done.err) == (2, True)
    assert not (tmp_path / "new.safetensors").exists()


def test_extract(kiln: Run, tmp_path: Path, base: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY), Maker(SDXL, 2).lora(CONV)]
    tuned = small_checkpoint(tmp_path / "tuned.safetensors", layers)
    done = kiln("extract", tuned, base, "--rank", 4, "--dtype", "fp32", "--json")
    assert done.status == 0, done.err
    assert report_of(done)["written"] == str(tmp_path / "tuned_lora.safetensors")
    wanted = changes_of(layers, SDXL.table)
    assert largest_error(changes(report_of(done)["written"]), wanted) < 1e-5
    assert report_of(done)["kept"] == pytest.approx(1)
    done = kiln("extract", tuned, base, "--rank", 1, "--out", tmp_path / "cut.safetensors")
    assert done.status == 0, done.err
    assert "Layers for SDXL: 2, ranks 1 × 2" in done.out
    done = kiln("extract", base, base)
    assert (done.status, "do not differ" in done.err) == (2, True)
    done = kiln("extract", tmp_path / "nothing.safetensors", base)
    assert (done.status, "There is no file nothing" in done.err) == (2, True)


def test_bake(kiln: Run, tmp_path: Path, base: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY, 6), Maker(SDXL, 2).loha(FEED)]
    file = written(tmp_path / "style.safetensors", SDXL, layers)
    done = kiln("bake", file, "--strength", -0.8, "--base", base, "--json")
    assert done.status == 0, done.err
    report = report_of(done)
    assert report["written"] == str(tmp_path / "style_at_-0.8.safetensors")
    assert report["worst_error"] < 1e-6
    wanted = changes_of(layers, SDXL.table, -0.8)
    assert largest_error(changes(report["written"]), wanted) < 1e-6
    again = kiln("bake", file, "--strength", -0.8, "--base", base, "--json")
    assert report_of(again)["written"] == report["written"]
    done = kiln("bake", file, file.with_name("style_at_-0.8.safetensors"), "--strength", 0.5,
                "--base", base, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert "note     strength 1 is the source's 0.5" in done.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "style_at_0.5.safetensors", "style_at_-0.8_at_0.5.safetensors",
    }
    done = kiln("bake", file, "--strength", 0, "--base", base)
    assert (done.status, "does nothing" in done.err) == (1, True)
    done = kiln("bake", file, "--strength", 1000, "--base", base)
    assert (done.status, "strength is 1000" in done.err) == (2, True)


def test_rotations_are_baked_with_a_checkpoint(kiln: Run, tmp_path: Path, base: Path) -> None:
    outputs = SDXL.table["unet"].shapes[QUERY][0]
    factors = {"oft_blocks": Maker(SDXL).random(outputs // 4, 4, 4) * 0.1}
    layer = Layer(target=Target("unet", QUERY), algorithm="oft", factors=factors, alpha=0.0)
    file = written(tmp_path / "turned.safetensors", SDXL, [layer])
    done = kiln("bake", file, "--strength", 0.5, "--base", base, "--json")
    assert done.status == 0, done.err
    [made] = read(Path(report_of(done)["written"]), SDXL).lora.layers
    assert made.algorithm == "diff"
    assert "1 layer became differences" in report_of(done)["notes"][1]


def test_as_a_script(python: Run) -> None:
    done = python(ROOT / "kiln.py", "merge", "--help")
    assert done.status == 0, done.err
    assert "--text-weights" in done.out
