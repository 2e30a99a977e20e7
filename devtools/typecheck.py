"""Runs mypy over the pack under the name that it is imported by.

The repository root is the package ``lora_kiln``, whatever its folder is called, so mypy gets a
temporary folder in which a link of that name leads here. Arguments go to mypy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "lora_kiln"
_SKIPPED = {"node_modules", "__pycache__", "web"}


def source_files(root: Path) -> list[str]:
    """All Python files of pack and tests, relative to the root; hidden folders are left out."""
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED and name[0] != "."]
        found += [
            str((Path(folder) / name).relative_to(root)) for name in files if name.endswith(".py")
        ]
    return sorted(found)


def main() -> int:
    """Check everything; returns mypy's exit status."""
    with tempfile.TemporaryDirectory(prefix="kiln-types-") as folder:
        (Path(folder) / PACKAGE).symlink_to(ROOT, target_is_directory=True)
        command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
        command += ["--cache-dir", str(ROOT / ".mypy_cache"), *sys.argv[1:]]
        command += [str(Path(PACKAGE) / name) for name in source_files(ROOT)]
        # Modules are named from this folder on, with or without __init__.py on the way.
        environment = {**os.environ, "MYPYPATH": folder}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
