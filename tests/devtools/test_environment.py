"""The environment's stamp: complete and current, or made again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lora_kiln.devtools import environment
from lora_kiln.devtools.processes import SetupError, run_logged

SETUP = Path(environment.__file__).with_name("setup_env.py")


def make_venv(folder: Path) -> Path:
    """A folder with all that a virtual environment is recognised by."""
    python = environment.interpreter_of(folder)
    python.parent.mkdir(parents=True)
    python.touch()
    (folder / "pyvenv.cfg").touch()
    return folder


def test_the_fingerprint_changes_with_every_ingredient(tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text("torch\n")
    first = environment.fingerprint(files, (3, 11))
    assert environment.fingerprint(files, (3, 11)) == first
    assert environment.fingerprint(files, (3, 12)) != first
    for file in files:
        file.write_text("torch==2\n")
        assert environment.fingerprint(files, (3, 11)) != first
        file.write_text("torch\n")
    assert environment.fingerprint(files[:1], (3, 11)) != first


def test_a_stamp_counts_for_its_fingerprint_only(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / ".venv")
    assert not environment.is_current(venv, "one")
    environment.write_stamp(venv, "one")
    assert environment.is_current(venv, "one")
    assert not environment.is_current(venv, "two")


@pytest.mark.parametrize("damage", ["started", "torn", "no python"])
def test_a_half_made_environment_is_noticed(tmp_path: Path, damage: str) -> None:
    venv = make_venv(tmp_path / ".venv")
    environment.write_stamp(venv, "one")
    if damage == "started":
        (venv / environment.STARTED).touch()
    elif damage == "torn":
        (venv / environment.STAMP).write_text('{"finger')
    else:
        environment.interpreter_of(venv).unlink()
    assert not environment.is_current(venv, "one")


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    venv.mkdir()
    (venv / "work.txt").write_text("mine")
    with pytest.raises(SetupError, match="no virtual environment of its own"):
        environment.prepare_venv(venv)
    assert (venv / "work.txt").read_text() == "mine"


def test_a_broken_environment_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = make_venv(tmp_path / ".venv")
    commands: list[list[str]] = []

    def make(command: list[str], what: str, remedy: str) -> str:
        del what, remedy
        commands.append(command)
        make_venv(venv)
        return ""

    monkeypatch.setattr(environment, "run_logged", make)
    environment.prepare_venv(venv)
    assert commands == [[sys.executable, "-m", "venv", str(venv)]]
    assert (venv / environment.STARTED).is_file()


def test_a_failing_command_is_told_with_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; print('no space left'); sys.exit(3)"]
    with pytest.raises(SetupError, match=r"(?s)failed with code 3.*no space left") as caught:
        run_logged(command, "Installing", "Free some space.")
    assert caught.value.remedy == "Free some space."


def test_the_script_says_reason_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    answer = subprocess.run(
        [sys.executable, str(SETUP)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "no main.py" in answer.stderr
    assert "unset it" in answer.stderr
    assert "Traceback" not in answer.stderr
