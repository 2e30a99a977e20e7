"""Files appear whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lora_kiln.core import atomic

ROOT = Path(__file__).resolve().parents[2]
# Twenty children, forked from a process that has imported torch once, write until they are killed.
KILLER = """
import importlib.util, os, random, signal, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("loader", sys.argv[1] + "/devtools/load_pack.py")
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loader.load_pack()
from lora_kiln.core import atomic
path, chance, written = Path(sys.argv[2]), random.Random(0), set()
atomic.write_bytes(path, b"%020d" % 0 * 50_000)
for kill in range(20):
    child = os.fork()
    if child == 0:
        for number in range(10**9):
            atomic.write_bytes(path, b"%02d%018d" % (kill, number) * 50_000)
    time.sleep(chance.uniform(0.01, 0.15))
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    content = path.read_bytes()
    assert len(content) == 20 * 50_000, len(content)
    assert content == content[:20] * 50_000
    written.add(content[:20])
print(len(written))
"""


def temporaries(folder: Path) -> list[Path]:
    return list(folder.rglob(f"*{atomic.TEMPORARY_SUFFIX}"))


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.json"
    atomic.write_text(path, "old")

    def fail(*_args: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, broken, fail)
        with pytest.raises(OSError, match="no space"):
            atomic.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]
    atomic.write_text(path, "new")
    assert path.read_text() == "new"


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic.write_json(path, {"b": 1, "a": "ü"})
    assert path.read_text("utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'
    with pytest.raises(TypeError):
        atomic.write_json(path, {"a": object()})
    assert json.loads(path.read_text("utf-8")) == {"a": "ü", "b": 1}
    assert temporaries(tmp_path) == []


def test_tensors_that_share_memory_are_written(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    path = tmp_path / "deep" / "x.safetensors"
    atomic.write_tensors(path, {"t": base.T, "row": base[1].clone()}, {"who": "kiln"})
    assert torch.equal(load_file(path)["t"], base.T)


def test_lines_are_added_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for number in range(3):
        atomic.append_line(path, str(number))
    assert path.read_text() == "0\n1\n2\n"


def test_temporaries_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in (f"a.{atomic.TEMPORARY_SUFFIX}", f"sub/b{atomic.TEMPORARY_SUFFIX}", "keep.json"):
        (tmp_path / name).write_text("x")
    assert atomic.sweep_temporaries(tmp_path) == 2
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["keep.json"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
def test_killed_twenty_times_and_always_whole(tmp_path: Path) -> None:
    """Each kill hits a writing process at a random moment; the file is one whole content."""
    path = tmp_path / "numbers"
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(ROOT), str(path)],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
    left = temporaries(tmp_path)
    assert atomic.sweep_temporaries(tmp_path) == len(left)
    assert [p.name for p in tmp_path.iterdir()] == ["numbers"]
