"""Makes the project's own ``.venv`` and keeps it current. Standard library only.

A stamp in the folder says that it is complete and for which requirements; a second run only
compares it. A marker says that its first filling has begun and not ended: that one is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .comfy_host import COMFYUI_VERSION, ROOT, cache_folder
from .host_archive import ARCHIVE, ensure_host, host_folder, is_complete
from .processes import SetupError, clean_environment, run_logged, say

VENV = ROOT / ".venv"
STAMP = "kiln-setup.json"
STARTED = "kiln-setup.started"
_HERE = Path(__file__).resolve().parent
SHIMS = _HERE / "torch_shims.py"
_INPUTS = (
    ROOT / "requirements.txt",
    _HERE / "requirements-test.txt",
    _HERE / "requirements-dev.txt",
    _HERE / "constraints.txt",
    SHIMS,
)
_IMPORTS = (
    "import torch, torchvision, torchaudio, torchsde, aiohttp, transformers, "
    "peft, diffusers, accelerate, pytest, hypothesis"
)


def interpreter_of(venv: Path) -> Path:
    """The interpreter in a virtual environment, whether or not it exists."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(inputs: Sequence[Path] = _INPUTS, python: tuple[int, int] | None = None) -> str:
    """A hash of everything that decides what the environment holds."""
    version = python or sys.version_info[:2]
    digest = hashlib.sha256(f"{version} {sys.platform} {ARCHIVE.sha256}".encode())
    for file in inputs:
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def is_current(venv: Path, wanted: str) -> bool:
    """Whether an environment is complete and of the wanted fingerprint."""
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(stamp, dict)
        and stamp.get("fingerprint") == wanted
        and interpreter_of(venv).exists()
        and not (venv / STARTED).exists()
    )


def write_stamp(venv: Path, wanted: str) -> None:
    """Declare an environment complete."""
    temporary = venv / f"{STAMP}.new"
    value = {"fingerprint": wanted, "python": sys.version.split()[0], "comfyui": COMFYUI_VERSION}
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, venv / STAMP)
    (venv / STARTED).unlink(missing_ok=True)


def is_usable(venv: Path) -> bool:
    """Whether the environment's Python runs, has pip, and is of this Python's version."""
    question = "import sys, pip; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [str(interpreter_of(venv)), "-c", question],
            capture_output=True,
            text=True,
            env=clean_environment(),
            check=False,
        )
    except OSError:
        return False
    return answer.stdout.split() == [str(part) for part in sys.version_info[:2]]


def prepare_venv(venv: Path) -> None:
    """Have a virtual environment with pip; keep a usable one, make a broken one anew.

    Raises:
        SetupError: there is something else of that name, or ``venv`` does not work.
    """
    if venv.is_symlink() or (venv.exists() and not (venv / "pyvenv.cfg").is_file()):
        raise SetupError(
            f"{venv.name} in {venv.parent} is there and is no virtual environment of its own.",
            "It may be somebody's work, so it was left alone. Move it away and run this again.",
        )
    if venv.exists() and not (venv / STARTED).exists() and is_usable(venv):
        # An update in place. Should it be cut off, pip goes on from there the next time.
        (venv / STAMP).unlink(missing_ok=True)
        return
    if venv.exists():
        say(f"{venv.name} is half made or of another Python; making it anew.")
        shutil.rmtree(venv)
    run_logged(
        [sys.executable, "-m", "venv", str(venv)],
        f"Making {venv.name} with Python {sys.version.split()[0]}",
        "Python's venv module is missing or broken. On Debian and Ubuntu install the package "
        "python3-venv; then run this again.",
    )
    (venv / STARTED).touch()


def install(python: Path, host: Path) -> None:
    """Install everything that tests, demo and lint need.

    Raises:
        SetupError: pip failed, or what it installed cannot be imported.
    """
    command = [str(python), "-m", "pip", "install", "-q", "--progress-bar", "off"]
    command += ["-r", str(_HERE / "requirements-dev.txt"), "-r", str(host / "requirements.txt")]
    run_logged(
        command,
        "Installing torch, ComfyUI's requirements and the test tools (gigabytes; minutes)",
        "Check the network and the free space on the disk, and run this again.",
    )
    add_shims(python)
    run_logged(
        [str(python), "-c", _IMPORTS],
        "Trying what was installed",
        "The installed builds do not fit together. Delete .venv and run this again.",
    )


def add_shims(python: Path) -> None:
    """Have every start of this environment's Python wait with the torch shims (Linux only)."""
    if sys.platform != "linux":
        return
    question = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = run_logged([str(python), "-c", question], "Adding the shims for CPU builds", "")
    packages = Path(answer.strip())
    shutil.copyfile(SHIMS, packages / "kiln_torch_shims.py")
    line = "import kiln_torch_shims; kiln_torch_shims.install()\n"
    (packages / "kiln_torch_shims.pth").write_text(line, encoding="ascii")


@contextlib.contextmanager
def only_one(cache: Path) -> Iterator[None]:
    """Let one setup run at a time for a cache folder; the others wait. No lock on Windows."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "setup.lock", "w", encoding="ascii") as file:
        try:
            import fcntl
        except ImportError:
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another setup is running; waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_environment(venv: Path = VENV) -> Path:
    """Have a complete ``.venv`` and test host; returns the interpreter.

    Raises:
        SetupError: with reason and remedy.
    """
    cache, wanted = cache_folder(), fingerprint()
    python = interpreter_of(venv)
    if is_current(venv, wanted) and is_complete(host_folder(cache)):
        return python
    with only_one(cache):
        if not is_current(venv, wanted):
            prepare_venv(venv)
        host = ensure_host(cache, python)
        if not is_current(venv, wanted):
            install(python, host)
            write_stamp(venv, wanted)
    return python
