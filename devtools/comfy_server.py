"""A real ComfyUI server on loopback, on a base directory of its own, with the pack linked in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .comfy_client import ComfyClient
from .comfy_host import ROOT, HostPaths, locate_comfyui

PACK_FOLDER = "comfyui-lora-kiln"
DEVICES = ("auto", "cpu", "accelerator")
_NOT_COPIED = (".git", ".venv", ".out", "node_modules", "__pycache__", ".*_cache")
# Given only where the install knows them: the floor is ComfyUI 0.24.0.
_WANTED_FLAGS: tuple[tuple[str, ...], ...] = (
    ("--disable-auto-launch",),
    ("--disable-api-nodes",),
    ("--database-url", "sqlite:///:memory:"),
)
# Without the first, a new user's front end covers itself with its template browser.
_FRONT_END_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Notification.ShowVersionUpdates": False,
}
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "KILN_END_WITH_PARENT": "1",
}


class ServerDied(RuntimeError):
    """The server ended before it answered, or did not answer in time; the text ends its log."""


def wanted_device(named: str | None = None) -> str:
    """What a test server runs on: the argument, else ``KILN_TEST_DEVICE``, else ``auto``.

    Raises:
        ValueError: it is none of ``DEVICES``.
    """
    device = named or os.environ.get("KILN_TEST_DEVICE") or "auto"
    if device not in DEVICES:
        raise ValueError(
            f"KILN_TEST_DEVICE is {device!r}. Expected one of {', '.join(DEVICES)}. "
            "Correct the variable, or unset it for 'auto'."
        )
    return device


def free_port() -> int:
    """A port on loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def prepare_base(base: Path, pack: Path = ROOT) -> None:
    """Make the folders of a base directory and link the pack into its ``custom_nodes``."""
    for name in ("models/checkpoints", "models/loras", "input", "output", "user", "custom_nodes"):
        (base / name).mkdir(parents=True, exist_ok=True)
    settings = base / "user" / "default" / "comfy.settings.json"
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(_FRONT_END_SETTINGS), encoding="utf-8")
    link = base / "custom_nodes" / PACK_FOLDER
    if link.exists():
        return
    try:
        link.symlink_to(pack, target_is_directory=True)
    except OSError:  # Windows without the right to link.
        shutil.copytree(pack, link, ignore=shutil.ignore_patterns(*_NOT_COPIED))


class ComfyServer:
    """A server that starts, stops, dies and starts again on the same base directory.

    Args:
        base: base directory; by default a temporary one that goes with the context manager.
        host: ComfyUI to run; the located one by default.
        device: ``auto``, ``cpu`` or ``accelerator``; see ``wanted_device``.
        threads: CPU threads torch may use; None leaves it to torch.
        arguments: further arguments of ComfyUI.
        environment: further environment variables.
        boot_timeout_s: longest wait for the first answer.
        pack: folder to link in as the pack.
        log_path: where the output goes; by default ``comfyui.log`` in the base directory.
    """

    def __init__(
        self,
        base: Path | None = None,
        *,
        host: HostPaths | None = None,
        device: str | None = None,
        threads: int | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        boot_timeout_s: float = 240.0,
        pack: Path = ROOT,
        log_path: Path | None = None,
    ) -> None:
        self.host = host or locate_comfyui()
        self.device = wanted_device(device)
        self.owns_base = base is None
        self.base = (base or Path(tempfile.mkdtemp(prefix="kiln-comfy-"))).resolve()
        self.pack = pack
        self.log_path = log_path or self.base / "comfyui.log"
        self.port = 0
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        if threads is not None:
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
                self._environment.setdefault(name, str(threads))
        self._boot_timeout_s = boot_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base address of the running server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the server.

        Raises:
            RuntimeError: it was never started.
        """
        if self._process is None:
            raise RuntimeError("The server was not started. Call start() first.")
        return self._process.pid

    def client(self) -> ComfyClient:
        """A new client of this server."""
        return ComfyClient(self.url)

    def log(self) -> str:
        """All that the server has written since its first start."""
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines: int = 40) -> str:
        """The end of the log."""
        return "\n".join(self.log().splitlines()[-lines:])

    def start(self) -> ComfyServer:
        """Boot, and return when the server answers.

        Raises:
            ServerDied: it ended, or did not answer in time.
        """
        if self.alive:
            return self
        prepare_base(self.base, self.pack)
        self.port = free_port()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,  # Held open; the launcher ends when it closes.
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_ENVIRONMENT, **self._environment},
                start_new_session=True,  # Ctrl-C at the terminal is ours to handle.
            )
        self._wait_for_answer()
        return self

    def stop(self) -> None:
        """Ask the server to end, as Ctrl-C does, and see to it that it has ended."""
        if self.alive and self._process is not None:
            self._process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        self._let_go()

    def kill(self) -> None:
        """End the server at once, with everything it has started (SIGKILL)."""
        if self.alive and self._process is not None:
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
            self._process.wait(30)
        self._let_go()

    def restart(self) -> ComfyServer:
        """Stop where it runs, and boot again on the same base directory, on another port."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop, and remove the base directory if it is a temporary one."""
        self.stop()
        if self.owns_base:
            shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> ComfyServer:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _command(self) -> list[str]:
        options = (self.host.root / "comfy" / "cli_args.py").read_text(encoding="utf-8")
        command = [str(self.host.python), str(Path(__file__).with_name("launch_comfy.py"))]
        command += [str(self.host.root), self.device]
        command += ["--listen", "127.0.0.1", "--port", str(self.port)]
        command += ["--base-directory", str(self.base)]
        for flag in _WANTED_FLAGS:
            if f'"{flag[0]}"' in options:
                command += flag
        return command + self._arguments

    def _wait_for_answer(self) -> None:
        client = self.client()
        deadline = time.monotonic() + self._boot_timeout_s
        while self.alive:
            try:
                client.system_stats()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            if time.monotonic() > deadline:
                tail = self.log_tail()
                self.kill()
                raise ServerDied(
                    f"ComfyUI did not answer within {self._boot_timeout_s:g} s. Its log ends:\n"
                    f"{tail}"
                )
            time.sleep(0.1)
        code = self._process.returncode if self._process is not None else None
        self._let_go()
        raise ServerDied(
            f"ComfyUI in {self.host.root} ended with code {code} before it answered. "
            f"Python: {self.host.python}. Its log ends:\n{self.log_tail()}"
        )

    def _let_go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
