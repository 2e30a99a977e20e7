"""The demo model as a node would hand it over, a few pictures, and a picture of its whole state."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

DEMO_WEIGHTS = Path(__file__).resolve().parents[2] / "demo" / "weights"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tests run on two workers with two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Demo:
    """MODEL, CLIP and VAE of the demo."""

    model: Any
    clip: Any
    vae: Any


@pytest.fixture(scope="session")
def demo(comfy: Path) -> Demo:
    """Loaded under inference mode, as nodes load it: its weights are inference tensors."""
    demo_model = importlib.import_module("lora_kiln.host.demo_model")
    with torch.inference_mode():
        made = Demo(*demo_model.load_demo_model())
    assert next(made.model.model.parameters()).is_inference()
    return made


@pytest.fixture
def tiny_zimage_demo(comfy: Path) -> Demo:
    """A random Z-Image with its text encoder and a VAE, new for every test."""
    del comfy
    made = importlib.import_module("lora_kiln.tests.host.tiny_zimage")
    return Demo(made.make_model(), _zimage_clip(), made.make_vae())


@cache
def _zimage_clip() -> Any:
    """Its tokenizer takes half a second to read."""
    return importlib.import_module("lora_kiln.tests.host.tiny_zimage").make_clip()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Four captioned pictures in two shapes."""
    from lora_kiln.dataset.scan import scan_folder

    folder = tmp_path_factory.mktemp("pictures")
    chance = np.random.default_rng(0)
    for index, size in enumerate([(80, 64), (80, 64), (80, 64), (64, 64)]):
        small = chance.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"woodcut, a (red) circle {index}")
    return scan_folder(folder, name="pictures")


@pytest.fixture
def small_training() -> Any:
    """Settings of a run that takes seconds."""
    from lora_kiln.trainer.config import TrainSettings

    return TrainSettings(
        run_name="small",
        steps=4,
        learning_rate=1e-3,
        rank=4,
        resolution=128,
        seed=1,
        batch_size=4,
        preview_every=0,
        checkpoint_every=2,
    )


class Host:
    """Stands in for the node: progress that may cancel, and a folder of its own per test."""

    def __init__(self, output: Path, loras: Path) -> None:
        self.output, self.loras = output, loras
        self.said: list[str] = []
        self.updates: list[tuple[int, int]] = []
        self.checks = 0
        self.cancel_at: int | None = None

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        self.updates.append((done, total))

    def say(self, text: str) -> None:
        self.said.append(text)

    def check_cancelled(self) -> None:
        self.checks += 1
        if self.checks == self.cancel_at:
            from comfy.model_management import InterruptProcessingException

            raise InterruptProcessingException

    def is_cancellation(self, error: BaseException) -> bool:
        return type(error).__name__ == "InterruptProcessingException"

    @property
    def runs(self) -> Path:
        return self.output / "kiln"

    def written(self) -> list[str]:
        """Everything below output and models/loras, without the cache."""
        found = [p for root in (self.output, self.loras) for p in root.rglob("*") if p.is_file()]
        return sorted(str(p) for p in found if "cache" not in p.parts)


@pytest.fixture
def host(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Output and LoRA folders of this test alone."""
    import folder_paths

    made = Host(tmp_path / "output", tmp_path / "loras")
    for folder in (made.output, made.loras):
        folder.mkdir()
    monkeypatch.setattr(folder_paths, "output_directory", str(made.output))
    listed = folder_paths.folder_names_and_paths["loras"]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "loras", ([str(made.loras)], listed[1])
    )
    return made


@pytest.fixture
def train(demo: Demo, pictures: Any, small_training: Any, host: Host) -> Callable[..., Any]:
    """Train as ``KilnTrainLora`` does, in inference mode; keywords change settings.

    ``of`` is what is trained instead of the demo, ``also`` are further fields of the request.
    """

    def run(
        *,
        dataset: Any = None,
        model: Any = None,
        of: Demo | None = None,
        also: Mapping[str, Any] | None = None,
        progress: Host | None = None,
        **changes: Any,
    ) -> Any:
        from lora_kiln.host.training import TrainRequest, train_in_comfy

        of = of or demo
        with torch.inference_mode():
            return train_in_comfy(
                TrainRequest(
                    model=model or of.model,
                    clip=of.clip,
                    vae=of.vae,
                    dataset=dataset or pictures,
                    settings=replace(small_training, **changes),
                    **(also or {}),
                ),
                progress or host,
            )

    return run


def tensor_sha256(tensor: torch.Tensor) -> str:
    data = tensor.detach().cpu().contiguous().clone().flatten().view(torch.uint8)
    return hashlib.sha256(data.numpy().tobytes()).hexdigest()


def photograph_of(model: Any) -> dict[str, Any]:
    """All that training may touch: tensors with their objects, forwards, hooks and flags."""
    import comfy.model_management

    shot: dict[str, Any] = {
        "in_training": getattr(comfy.model_management, "in_training", None),
        "patches": len(model.patches),
        "object patches": sorted(model.object_patches),
        "options": sorted(model.model_options),
    }
    for name, module in model.model.named_modules():
        hooks = sum(
            len(value) for key, value in vars(module).items() if key.endswith("_hooks") and value
        )
        shot[f"{name} module"] = (
            module.training,
            hooks,
            repr(module.__dict__.get("forward")),
            # The host sets this one on the object when it loads; what counts is its value.
            getattr(module, "comfy_cast_weights", None),
            sorted(set(vars(module)) - {"comfy_cast_weights"}),
        )
        for key, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                shot[f"{name}.{key}"] = (
                    tensor_sha256(tensor),
                    id(tensor),
                    tensor.requires_grad,
                    tensor.is_inference(),
                    tensor.grad is None if tensor.is_leaf else True,
                    tensor.dtype,
                    str(tensor.device),
                )
    return shot


@pytest.fixture
def photograph() -> Callable[[Any], dict[str, Any]]:
    """See :func:`photograph_of`."""
    return photograph_of
