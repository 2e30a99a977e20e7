"""The identity of what was read from a file: its dtype counts, and so does an overwritten file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lora_kiln.sweep.cell_settings import CellSettings

FP8 = torch.float8_e4m3fn
Read = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.fixture
def write(comfy: Path, path: Path) -> Callable[[float], None]:
    """Write a model into the file; every number is another one, and all are of one size."""
    del comfy

    def save(shift: float) -> None:
        from lora_kiln.tests.host import tiny_sdxl

        with torch.inference_mode():
            state = tiny_sdxl.make_model().model.diffusion_model.state_dict()
            named = {f"model.diffusion_model.{k}": (v + shift).clone() for k, v in state.items()}
        save_file(named, path)

    return save


@pytest.fixture
def read(comfy: Path, path: Path) -> Read:
    """A MODEL of the file, which names it as the stock loaders do."""
    del comfy

    def load(kind: torch.dtype | None = None, /, **options: Any) -> Any:
        import comfy.sd
        import comfy.utils

        from lora_kiln.tests.host import tiny_sdxl

        with torch.inference_mode():
            model = tiny_sdxl.make_model()
            network = model.model.diffusion_model
            prefix = "model.diffusion_model."
            state = comfy.utils.load_torch_file(str(path), safe_load=True)
            network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items()})
            # As ComfyUI does with --fp8_e4m3fn-unet: small layers keep their dtype.
            for parameter in list(network.parameters())[1:] if kind else []:
                parameter.data = parameter.data.to(kind)
        model.cached_patcher_init = (comfy.sd.load_diffusion_model, (str(path), options))
        return model

    return load


def identity(model: Any) -> str:
    from lora_kiln.host.identity import model_identity

    found = model_identity(model)
    assert found.reusable, found.reasons
    return found.digest


@pytest.fixture(params=["old file", "new file"])
def aged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, comfy: Path) -> str:
    """Whether the file is older than the process, so that its hash is trusted unseen."""
    del comfy
    from lora_kiln.host import source_check

    later = time.time() + (3600 if request.param == "old file" else -3600)
    monkeypatch.setattr(source_check, "_started_s", lambda: later)
    return str(request.param)


def test_fp8_weights_are_another_model(
    write: Callable[[float], None], read: Read, aged: str
) -> None:
    """By the loader's choice, and by a command line option, which no loader's argument tells."""
    write(0.0)
    plain = identity(read())
    options: tuple[dict[str, Any], ...] = ({}, {"dtype": FP8}, {"fp8_optimizations": True})
    digests = {plain, *(identity(read(FP8, **own)) for own in options)}
    assert len(digests) == 4
    assert identity(read()) == plain
    assert identity(read(FP8)) in digests


def test_the_key_of_a_cell_knows_fp8(write: Callable[[float], None], read: Read) -> None:
    from lora_kiln.host import demo_model
    from lora_kiln.host.cell_identity import CellIdentity
    from lora_kiln.host.lora_shelf import LoraShelf
    from lora_kiln.tests.host import tiny_sdxl

    write(0.0)
    clip = tiny_sdxl.make_clip()
    with torch.inference_mode():
        vae = demo_model._make_vae()
    cell = CellSettings(strength=0.0)
    keys = [
        CellIdentity(model, clip, vae, LoraShelf(model, clip, {})).key(cell, "batched")
        for model in (read(), read(FP8), read())
    ]
    assert keys[0] == keys[2] != keys[1]


def test_an_overwritten_file_is_another_model(
    write: Callable[[float], None], read: Read, path: Path
) -> None:
    """Of the same size, and in place, as a merge node or a download writes it."""
    write(0.0)
    first = read()
    before, size = identity(first), path.stat().st_size
    write(1.0)
    assert path.stat().st_size == size
    second = read()
    assert identity(second) != before
    # What was read once stays what it is.
    assert identity(first) == before
    write(0.0)
    assert identity(read()) == before


def test_weights_never_get_the_name_of_the_file_that_replaced_theirs(
    write: Callable[[float], None], read: Read, path: Path
) -> None:
    """Asked for the first time when the file is another one already, also with the old time."""
    write(0.0)
    loaded, old = read(), path.stat()
    write(1.0)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns + 1))
    other = identity(read())
    assert identity(loaded) != other
    # A file that was there a moment ago, and is what was read, is known by its hash.
    assert identity(read()) == other
