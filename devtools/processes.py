"""Runs the commands of the setup, and says in a paragraph what went wrong. Standard library only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

# They would have pip install into another place than the interpreter it belongs to.
_MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONHOME", "PYTHONPATH")
_TAIL_LINES = 15


class SetupError(Exception):
    """Setting up stopped.

    Attributes:
        reason: what was found, and what was expected.
        remedy: what to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


def say(text: str) -> None:
    """Tell a person; standard output is kept for the result."""
    print(text, file=sys.stderr, flush=True)


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead pip or Python astray."""
    environment = {key: value for key, value in os.environ.items() if key not in _MISLEADING}
    return {**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run_logged(command: Sequence[str], what: str, remedy: str) -> str:
    """Run a command quietly and return its output.

    Args:
        command: program and arguments.
        what: what it does, as a person would say it; said before it starts.
        remedy: what to do should it fail.

    Raises:
        SetupError: it failed; the reason ends with the end of its output.
    """
    say(f"{what} …")
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            code = subprocess.run(
                command, stdout=log, stderr=subprocess.STDOUT, env=clean_environment(), check=False
            ).returncode
        except OSError as error:
            raise SetupError(f"{what} failed: {error}.", remedy) from None
        log.seek(0)
        output = log.read()
    if code != 0:
        tail = "\n".join(f"    {line}" for line in output.splitlines()[-_TAIL_LINES:])
        raise SetupError(f"{what} failed with code {code}. It said last:\n{tail}\n", remedy)
    return output
