"""Who may lean on whom: read from the source, and tried in processes of their own."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOSTS = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "nodes"}
HOSTS |= {"execution", "comfyui_version", "app", "api_server", "latent_preview", "node_helpers"}
MAY_IMPORT_HOST = {"nodes", "host", "devtools", "demo", "tests", "benchmarks"}
LEANS_ON: dict[str, set[str]] = {
    "core": set(),
    "dataset": {"core"},
    "lora_format": {"core"},
    "trainer": {"core", "dataset", "lora_format"},
    "sweep": {"core", "lora_format"},
    "host": {"core", "dataset", "lora_format", "trainer", "sweep"},
    "nodes": {"core", "dataset", "lora_format", "trainer", "sweep", "host"},
    "cli": {"core", "dataset", "lora_format"},
}
COMFY_FREE = ("core", "dataset", "lora_format", "trainer", "sweep", "cli")
HEAVY = ("diffusers", "peft", "accelerate", "transformers", "onnxruntime")
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "subprocess", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "torch.load", "torch.save", "os.system", "os.popen"}

# Runs in a fresh interpreter; {blocked} is a set of names whose import fails.
PROLOGUE = """
import importlib, importlib.abc, importlib.util, json, pkgutil, sys
from pathlib import Path

BLOCKED = {blocked}

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(name + " is blocked by this test")
        return None

sys.meta_path.insert(0, Block())
ROOT = Path({root!r})
spec = importlib.util.spec_from_file_location("loader", ROOT / "devtools" / "load_pack.py")
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
pack = loader.load_pack()

def import_rooms(rooms):
    names = []
    for room in rooms:
        package = importlib.import_module("lora_kiln." + room)
        names.append(package.__name__)
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            names.append(importlib.import_module(info.name).__name__)
    return names
"""


def sources(room: str) -> list[Path]:
    """All files of a room; an empty room would make every rule here hold."""
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, room
    return found


def imported(path: Path, *, top_level_only: bool = False) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import; our own begin with ``lora_kiln.``."""
    tree = ast.parse(path.read_text("utf-8"))
    inside = _inside_functions(tree) if top_level_only else set()
    package = ("lora_kiln", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package[: len(package) - node.level + 1]
                base = ".".join((*parent, base) if base else parent)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _inside_functions(tree: ast.AST) -> set[ast.AST]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        inner for node in ast.walk(tree) if isinstance(node, kinds) for inner in ast.walk(node)
    }


def run_python(body: str, blocked: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Run a script after the prologue; its last line of output is JSON."""
    script = PROLOGUE.format(blocked=set(blocked) or "set()", root=str(ROOT)) + body
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("room", sorted(LEANS_ON))
def test_a_room_leans_only_on_what_it_may(room: str) -> None:
    wrong = []
    for path in sources(room):
        for line, name in imported(path):
            first, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if first == "lora_kiln" and other != room and other not in LEANS_ON[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_comfyui_is_imported_only_where_it_may_be() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if parts[0] in MAY_IMPORT_HOST or parts[0].startswith(".") or "node_modules" in parts:
            continue
        for line, name in imported(path, top_level_only=parts == ("__init__.py",)):
            if name.partition(".")[0] in HOSTS:
                wrong.append(f"{'/'.join(parts)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_root_imports_nothing_at_the_top() -> None:
    names = [name for _, name in imported(ROOT / "__init__.py", top_level_only=True)]
    assert {name.partition(".")[0] for name in names} <= {"__future__", "typing"}


@pytest.mark.parametrize("room", sorted(LEANS_ON))
def test_nothing_runs_programs_from_data(room: str) -> None:
    """No pickle, no eval, no other processes: graphs and files come from strangers."""
    wrong = []
    for path in sources(room):
        where = path.relative_to(ROOT)
        for line, name in imported(path):
            if name.partition(".")[0] in FORBIDDEN_MODULES:
                wrong.append(f"{where}:{line} imports {name}")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
                wrong.append(f"{where}:{node.lineno} calls {ast.unparse(node.func)}")
            elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                wrong.append(f"{where}:{node.value.lineno} says allow_pickle")
    assert not wrong, "\n".join(wrong)


def test_five_rooms_import_without_comfyui() -> None:
    """With ComfyUI blocked, every module of the rooms that must not know it imports."""
    names = run_python(
        f"print(json.dumps({{'names': import_rooms({COMFY_FREE!r})}}))", tuple(sorted(HOSTS))
    )["names"]
    expected = {
        ".".join(("lora_kiln", *path.relative_to(ROOT).with_suffix("").parts))
        for room in COMFY_FREE
        for path in sources(room)
        if path.name != "__init__.py"
    }
    assert expected <= set(names)


def test_the_pack_imports_no_heavy_library() -> None:
    loaded = run_python(
        f"import_rooms({COMFY_FREE!r})\n"
        f"print(json.dumps({{'loaded': [n for n in {HEAVY!r} if n in sys.modules]}}))"
    )["loaded"]
    assert loaded == []


def test_importing_the_pack_alone_imports_nothing_but_itself() -> None:
    ours = run_python(
        "print(json.dumps({'ours': [n for n in sys.modules if n.startswith('lora_kiln')], "
        "'torch': [n for n in sys.modules if n == 'torch']}))"
    )
    assert ours == {"ours": ["lora_kiln"], "torch": []}


def test_the_nodes_add_no_heavy_library_to_comfyui() -> None:
    """ComfyUI imports transformers itself; beyond what it has loaded, we add none of them."""
    answer = run_python(
        f"""
from lora_kiln.devtools.comfy_import import import_comfy
import_comfy(device="cpu")
for name in ("nodes", "comfy.sd", "comfy.sample", "comfy_api.latest"):
    importlib.import_module(name)
before = set(sys.modules)
names = import_rooms(["host", "nodes"])
added = [n for n in {HEAVY!r} if n in sys.modules and n not in before]
print(json.dumps({{"added": added, "names": names}}))
"""
    )
    assert answer["added"] == []
    assert "lora_kiln.nodes.train" in answer["names"]
