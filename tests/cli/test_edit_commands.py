"""``kiln.py merge``, ``resize`` and ``extract`` as a person calls them, without ComfyUI."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_kiln.lora_format.ir import Layer
from lora_kiln.lora_format.read import read
from lora_kiln.tests.lora_format.small_loras import (
    CONV,
    FEED,
    NORM,
    QUERY,
    SDXL,
    Changes,
    Maker,
    changes_of,
    largest_error,
    total,
    written,
)

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = ("comfy", "comfy_api", "folder_paths", "server", "nodes", "execution", "diffusers")
# Runs kiln.py with each list of words from standard input; answers with JSON.
SCRIPT = """
import contextlib, importlib.abc, importlib.util, io, json, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name + " is blocked by this test")
        return None

sys.meta_path.insert(0, Block())
spec = importlib.util.spec_from_file_location("kiln_script", {script!r})
kiln = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kiln)
answers = []
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = kiln.main(words)
        except SystemExit as end:
            status = end.code
    answers.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """The only report of ``--json``."""
        (found,) = json.loads(self.out)
        return found


def kiln(*commands: list[Any]) -> list[Answer]:
    """Run commands one after the other in a process that cannot import ComfyUI."""
    script = SCRIPT.format(blocked=set(BLOCKED), script=str(ROOT / "kiln.py"))
    done = subprocess.run(
        [sys.executable, "-c", script], text=True, capture_output=True, timeout=300, check=False,
        input=json.dumps([[str(word) for word in words] for words in commands]),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [Answer(*answer) for answer in json.loads(done.stdout.splitlines()[-1])]


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


def changes(path: str | Path) -> Changes:
    return changes_of(read(Path(path), SDXL).lora.layers, SDXL.table)


def test_merge(tmp_path: Path, base: Path) -> None:
    one = [Maker(SDXL, 1).lora(QUERY), Maker(SDXL, 2).loha(FEED)]
    two = [Maker(SDXL, 3).lora(QUERY, 5), Maker(SDXL, 4).lora(CONV)]
    files = [written(tmp_path / "one.safetensors", SDXL, one, "kohya"),
             written(tmp_path / "two.safetensors", SDXL, two, "diffusers")]
    broken = tmp_path / "broken" / "three.safetensors"
    broken.parent.mkdir()
    stray = {f"lora_unet_nothing.lora_{side}.weight": torch.ones(2, 2) for side in ("up", "down")}
    save_file({**stray, **load_file(files[0])}, broken)
    exact, cut, text, few, lost, lossy = kiln(
        ["merge", *files, "--weights", 0.5, -2, "--base", base, "--json"],
        ["merge", tmp_path / "*.safetensors", "--method", "svd", "--rank", 2, "--base", base,
         "--out", tmp_path / "out" / "cut.safetensors"],
        ["merge", *files, "--weights", 1, "--base", base],
        ["merge", files[0], "--base", base],
        ["merge", *files, broken, "--base", base],
        ["merge", *files, broken, "--base", base, "--lossy", "--out", tmp_path / "lossy", "--json"],
    )
    assert exact.status == 0, exact.err
    assert exact.report["written"] == str(tmp_path / "merged.safetensors")
    wanted = total(changes_of(one, SDXL.table, 0.5), changes_of(two, SDXL.table, -2))
    assert largest_error(changes(exact.report["written"]), wanted) < 1e-6
    # merged.safetensors stood there as well when the pattern was read.
    assert cut.status == 0, cut.err
    assert "ranks 2 ×" in cut.out
    assert (tmp_path / "out" / "cut.safetensors").is_file()
    assert (text.status, "--weights has 1 numbers for 2 files" in text.err) == (2, True)
    assert (few.status, "two or more" in few.err) == (2, True)
    assert (lost.status, "not understood" in lost.err) == (2, True)
    assert lossy.status == 1
    assert "not understood" in lossy.report["left_out"][0]
    assert Path(lossy.report["written"]) == tmp_path / "lossy" / "merged.safetensors"


def test_resize(tmp_path: Path, base: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY, 6), Maker(SDXL, 2).lora(CONV, 6)]
    folder = tmp_path / "in"
    folder.mkdir()
    file = written(folder / "style.safetensors", SDXL, layers)
    written(folder / "other.safetensors", SDXL, layers)
    ranked, energy, many, again, wrong = kiln(
        ["resize", file, "--rank", 2, "--base", base, "--json"],
        ["resize", file, "--energy", 0.9, "--blocks", "attn1=1", "--base", base],
        ["resize", folder, "--rank", 3, "--base", base, "--out", tmp_path / "out", "--json"],
        ["resize", file, "--rank", 2, "--base", base, "--json"],
        ["resize", file, "--rank", 0, "--base", base],
    )
    assert ranked.status == 0, ranked.err
    assert ranked.report["written"] == str(folder / "style_rank2.safetensors")
    assert {module["rank"] for module in ranked.report["modules"]} == {2}
    assert 0 < ranked.report["kept"] < 1
    assert changes(ranked.report["written"]).keys() == changes(file).keys()
    assert energy.status == 0, energy.err
    assert "kept" in energy.out and str(folder / "style_energy90.safetensors") in energy.out
    assert many.status == 0, many.err
    names = {Path(report["written"]).name for report in json.loads(many.out)}
    assert {"style_rank3.safetensors", "other_rank3.safetensors"} <= names
    assert again.report["written"] == ranked.report["written"]
    assert (wrong.status, "rank is 0" in wrong.err) == (2, True)


def test_extract(tmp_path: Path, base: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY), Maker(SDXL, 2).lora(CONV), Maker(SDXL, 3).norm(NORM)]
    tuned = small_checkpoint(tmp_path / "tuned.safetensors", layers[:2])
    whole, cut, same, foreign = kiln(
        ["extract", tuned, base, "--rank", 4, "--dtype", "fp32", "--json"],
        ["extract", tuned, base, "--rank", 1, "--out", tmp_path / "cut.safetensors"],
        ["extract", base, base],
        ["extract", tmp_path / "nothing.safetensors", base],
    )
    assert whole.status == 0, whole.err
    assert whole.report["written"] == str(tmp_path / "tuned_lora.safetensors")
    wanted = changes_of(layers[:2], SDXL.table)
    assert largest_error(changes(whole.report["written"]), wanted) < 1e-5
    assert whole.report["kept"] == pytest.approx(1)
    assert cut.status == 0, cut.err
    assert "Layers for SDXL: 2, ranks 1 × 2" in cut.out
    assert (same.status, "do not differ" in same.err) == (2, True)
    assert (foreign.status, "There is no file nothing" in foreign.err) == (2, True)


def test_as_a_script(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "kiln.py"), "merge", "--help"], capture_output=True, text=True,
        cwd=tmp_path, timeout=300, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--text-weights" in done.stdout
