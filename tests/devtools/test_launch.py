"""The launcher's shims and guards, without a server."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from lora_kiln.devtools import torch_shims
from lora_kiln.devtools.comfy_client import describe_failure, describe_refusal
from lora_kiln.devtools.comfy_events import decode_binary
from lora_kiln.devtools.comfy_server import PACK_FOLDER, ServerDied, prepare_base, wanted_device

DEVTOOLS = Path(torch_shims.__file__).parent


def test_looking_for_torchvision_does_not_import_torch() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(DEVTOOLS)!r}); import torch_shims\n"
        "torch_shims.install(); torch_shims.install()\n"
        "import importlib.util as u\n"
        "assert u.find_spec('torchvision') and 'torch' not in sys.modules\n"
        "import torchvision, torchaudio\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize(
    ("torch_text", "vision_text", "expected"),
    [
        ("cuda: Optional[str] = None", "__version__ = '0.28.0+cu130'", True),
        ("cuda: Optional[str] = '13.0'", "__version__ = '0.28.0+cu130'", False),
        ("hip: Optional[str] = '7.0'", "__version__ = '0.28.0+cu130'", False),
        ("cuda: Optional[str] = None", "__version__ = '0.28.0'", False),
        ("", "", False),
    ],
)
def test_only_a_real_mismatch_is_cured(
    torch_text: str, vision_text: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"torch": torch_text, "torchvision": vision_text}
    monkeypatch.setattr(torch_shims, "version_text", texts.__getitem__)
    assert torch_shims.is_mismatched("torchvision") is expected


def test_a_persons_extra_model_paths_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DEVTOOLS))
    import launch_comfy

    read: list[str] = []
    config: Any = types.ModuleType("utils.extra_config")
    config.load_extra_path_config = read.append
    options: Any = types.ModuleType("comfy.options")
    options.enable_args_parsing = lambda: None
    modules = {"utils.extra_config": config, "comfy.options": options}
    monkeypatch.setattr(launch_comfy.importlib, "import_module", modules.__getitem__)
    launch_comfy.ignore_own_model_paths(tmp_path)
    config.load_extra_path_config(str(tmp_path / "extra_model_paths.yaml"))
    config.load_extra_path_config(str(tmp_path / "named.yaml"))
    assert read == [str(tmp_path / "named.yaml")]


def test_the_pack_is_linked_into_a_base_directory(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "__init__.py").touch()
    prepare_base(tmp_path / "base", pack)
    prepare_base(tmp_path / "base", pack)
    link = tmp_path / "base" / "custom_nodes" / PACK_FOLDER
    assert link.resolve() == pack
    assert (tmp_path / "base" / "models" / "loras").is_dir()


def test_the_pack_is_copied_where_links_are_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "pack"
    (pack / ".venv").mkdir(parents=True)
    (pack / "__init__.py").touch()

    def refuse(*_: object, **__: object) -> None:
        raise OSError("privilege not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    prepare_base(tmp_path / "base", pack)
    copy = tmp_path / "base" / "custom_nodes" / PACK_FOLDER
    assert (copy / "__init__.py").is_file()
    assert not (copy / ".venv").exists()


def test_an_unknown_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_TEST_DEVICE", "gpu")
    with pytest.raises(ValueError, match="Expected one of auto, cpu, accelerator"):
        wanted_device()
    assert wanted_device("cpu") == "cpu"
    assert issubclass(ServerDied, RuntimeError)


def test_previews_are_decoded() -> None:
    plain = (1).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"jpeg"
    assert decode_binary(plain) == {"type": "preview", "data": {"image": b"jpeg"}}
    metadata = b'{"node_id": "3"}'
    long = (4).to_bytes(4, "big") + len(metadata).to_bytes(4, "big") + metadata + b"png"
    assert decode_binary(long)["data"] == {"node_id": "3", "image": b"png"}
    assert decode_binary((9).to_bytes(4, "big") + b"x")["type"] == "binary"


def test_refusals_and_failures_are_readable() -> None:
    node = {"class_type": "KilnX", "errors": [{"message": "Value too small", "details": "rank"}]}
    text = describe_refusal({"error": {"message": "failed"}, "node_errors": {"7": node}})
    assert "node 7 (KilnX): Value too small: rank" in text
    assert "Node 7 (KilnX) failed with ValueError: bad" in describe_failure(
        {
            "node_id": "7",
            "node_type": "KilnX",
            "exception_type": "ValueError",
            "exception_message": "bad",
            "traceback": ["line\n"],
        }
    )
