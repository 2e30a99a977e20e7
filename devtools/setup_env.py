"""Gets everything ready that `make` needs, and prints the interpreter to use.

    python3 devtools/setup_env.py [--for demo|test|lint]

Any Python from 3.10 on; standard library only. Without an own ComfyUI, it makes ``.venv`` in the
repository and fetches the ComfyUI test host into the cache folder (``KILN_CACHE``, else
``lora-kiln`` in the user's cache folder). With one (``COMFYUI_PATH``, or the pack sits in its
``custom_nodes``), that install's own Python is used and nothing is installed anywhere: what is
missing there is said. The interpreter goes to standard output, all words to standard error.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from load_pack import load_pack

_RUNTIME = ("torch", "aiohttp", "peft", "diffusers", "accelerate")
_TESTING = ("pytest", "xdist", "hypothesis", "playwright", "onnx", "onnxruntime", "skimage")


def missing_modules(python: Path, names: tuple[str, ...]) -> list[str]:
    """Those of some modules that an interpreter does not have.

    Raises:
        SetupError: the interpreter does not run.
    """
    from lora_kiln.devtools.processes import SetupError, clean_environment

    question = (
        "import importlib.util as u, sys; "
        "print(*[n for n in sys.argv[1:] if u.find_spec(n) is None])"
    )
    try:
        answer = subprocess.run(
            [str(python), "-c", question, *names],
            capture_output=True,
            text=True,
            env=clean_environment(),
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"{python} was taken for the Python of your ComfyUI, and it does not run: {error}.",
            "Set COMFYUI_PYTHON to the interpreter that runs your ComfyUI.",
        ) from None
    return answer.stdout.split()


def use_own_install(install: Path, purpose: str) -> Path:
    """Return the Python of a person's ComfyUI; nothing is installed into it.

    Raises:
        SetupError: something that the purpose needs is missing there.
    """
    from lora_kiln.devtools.comfy_host import python_of
    from lora_kiln.devtools.processes import SetupError

    python = python_of(install)
    testing = purpose == "test"
    files = "-r requirements.txt" + (" -r devtools/requirements-test.txt" if testing else "")
    missing = missing_modules(python, _RUNTIME + (_TESTING if testing else ()))
    if missing:
        raise SetupError(
            f"The ComfyUI in {install} runs with {python}, and that has no {', '.join(missing)}.",
            f'Nothing was installed into your ComfyUI. To do so, run: "{python}" -m pip install '
            f"{files} — or unset COMFYUI_PATH to use the project's own test host.",
        )
    return python


def main() -> int:
    """Set up; returns the exit status."""
    parser = argparse.ArgumentParser(description="Get ready for make, and print the interpreter.")
    parser.add_argument("--for", dest="purpose", choices=("demo", "test", "lint"), default="test")
    purpose = parser.parse_args().purpose
    load_pack()
    from lora_kiln.devtools.comfy_host import locate_own_install
    from lora_kiln.devtools.environment import ensure_environment
    from lora_kiln.devtools.processes import SetupError, say

    try:
        own = None if purpose == "lint" else locate_own_install()
        python = use_own_install(own, purpose) if own is not None else ensure_environment()
    except SetupError as error:
        say(f"\nSetup stopped. {error.reason}\n\n{error.remedy}")
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036  This is what runs in whatever python3 is.
        sys.exit(f"Found Python {sys.version.split()[0]}, expected 3.10 or newer. Run it with one.")
    sys.exit(main())
