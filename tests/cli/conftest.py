"""``kiln.py`` as people start it, in processes where ComfyUI cannot be imported.

Starting one takes long, for torch; so most commands go one after the other to a process that calls
the script's ``main``, and only some tests start the script itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lora_kiln.tests.test_import_rules import HOSTS

ROOT = Path(__file__).resolve().parents[2]
BLOCK = f"""
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(HOSTS)!r}:
            raise ImportError(name + " is blocked by this test")
        return None

sys.meta_path.insert(0, Block())
"""
WORKER = f"""
import contextlib, importlib.util, io, json, os, sys

spec = importlib.util.spec_from_file_location("kiln_script", {str(ROOT / "kiln.py")!r})
kiln = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kiln)
for line in sys.stdin:
    folder, words = json.loads(line)
    os.chdir(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = kiln.main(words)
        except SystemExit as end:
            status = end.code
        except Exception:
            import traceback
            traceback.print_exc()
            status = 70
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """What a command came to.

    Attributes:
        status: its exit status.
        out: what it printed.
        err: what it printed as errors.
    """

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for a Python that cannot import ComfyUI."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(BLOCK, "utf-8")
    return {**os.environ, "PYTHONPATH": str(site)}


@pytest.fixture
def python(environment: dict[str, str], tmp_path: Path) -> Run:
    """Runs Python with words behind it, in the test's folder."""

    def run(*words: str | Path) -> Done:
        done = subprocess.run(
            [sys.executable, *map(str, words)], capture_output=True, text=True, timeout=300,
            check=False, cwd=tmp_path, env=environment,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that runs commands one after the other."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def kiln(worker: subprocess.Popen[str], tmp_path: Path) -> Run:
    """Runs a command in the test's folder; nothing may end in a traceback."""

    def run(*words: str | Path) -> Done:
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(json.dumps([str(tmp_path), [*map(str, words)]]) + "\n")
        worker.stdin.flush()
        done = Done(*json.loads(worker.stdout.readline()))
        assert "Traceback" not in done.err, done.err
        return done

    return run
