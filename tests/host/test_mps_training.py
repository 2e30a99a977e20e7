"""Training and sampling as they would run on a Mac: on a pretend MPS device, under the guard.

A further family is one more entry of :data:`FAMILIES`: a module beside this one with
``make_model(dtype=...)`` and ``make_clip()``.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_kiln.devtools.mps_guard import MpsRefusal

FAMILIES = ("tiny_sdxl", "tiny_zimage")
PRECISIONS = ("fp32", "bf16", "fp16")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

COMMON_SAMPLERS = (
    "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "res_multistep", "uni_pc",
)
SAMPLERS_REFUSED: dict[str, str] = {}
"""Stock sampler -> text of the refusal. None of ComfyUI 0.30.0's: its Brownian noise is grown on
the CPU in float32 (``dpmpp_sde``) or on the device (``dpmpp_sde_gpu``), ancestral noise comes from
a generator of the device, and only UniPC solves a linear system, for which MPS has a kernel."""
SCHEDULERS_REFUSED: dict[str, str] = {}
"""Stock scheduler -> text of the refusal. Sigmas are computed on the CPU."""


@dataclass(frozen=True)
class Mac:
    """A pretend Mac with a model of one family; without a guard, the CPU."""

    guard: Any
    family: Any

    def model(self, precision: str = "fp32") -> Any:
        """A MODEL whose weights have this precision, as a loader hands it over."""
        with torch.inference_mode():
            model = self.family.make_model(dtype=DTYPES[precision])
        assert model.load_device.type == ("mps" if self.guard else "cpu")
        assert model.offload_device.type == "cpu"
        return model

    def clip(self) -> Any:
        """The text encoders; ComfyUI leaves them on the CPU of a Mac."""
        with torch.inference_mode():
            return self.family.make_clip()


@pytest.fixture(params=FAMILIES)
def mac(comfy: Path, request: pytest.FixtureRequest) -> Iterator[Mac]:
    """A pretend Mac for the time of a test."""
    family = importlib.import_module(f"lora_kiln.tests.host.{request.param}")
    pretend_mac = importlib.import_module("lora_kiln.tests.host.mac").pretend_mac
    with pretend_mac() as guard:
        yield Mac(guard, family)


def prepared(model: Any, clip: Any) -> Any:
    """Three pictures of two sizes with captions of different length, latents drawn."""
    from lora_kiln.core.protocols import ImageGeometry
    from lora_kiln.core.seeds import generator
    from lora_kiln.dataset.prepare import TrainingItem, TrainingSet
    from lora_kiln.host.text import ComfyTextEncoder

    text = ComfyTextEncoder(clip)
    channels = model.get_model_object("latent_format").latent_channels
    items = []
    for index, (height, width) in enumerate([(8, 8), (8, 8), (8, 12)]):
        latent = torch.randn(channels, height, width, generator=generator(index))
        geometry = ImageGeometry(
            original_width_px=8 * width, original_height_px=8 * height, crop_left_px=0,
            crop_top_px=0, target_width_px=8 * width, target_height_px=8 * height,
        )
        caption = "a woodcut" + ", of a red star" * index
        items.append(
            TrainingItem(str(index), latent, geometry, text.encode(caption), caption, 1.0)
        )
    return TrainingSet(tuple(items), text.encode(""), "fingerprint", ())


def train_on(mac: Mac, precision: str, folder: Path, progress: Any, **changes: Any) -> Any:
    """A run through the trainer itself: loop, loss scale, optimizer, checkpoints, probe."""
    from lora_kiln.host.model import ComfyDenoiser, family_of
    from lora_kiln.trainer.adapter_settings import AdapterSettings
    from lora_kiln.trainer.config import TrainSettings
    from lora_kiln.trainer.job import TrainJob
    from lora_kiln.trainer.objective_settings import ObjectiveSettings
    from lora_kiln.trainer.parts import choose_parts
    from lora_kiln.trainer.recipe import make_recipe
    from lora_kiln.trainer.runs import open_run
    from lora_kiln.trainer.train import train

    plain: dict[str, Any] = {
        "run_name": "mac", "steps": 3, "learning_rate": 1e-3, "rank": 4, "resolution": 128,
        "seed": 1, "batch_size": 2, "preview_every": 0, "checkpoint_every": 2,
    }
    settings = TrainSettings(**{**plain, **changes})
    # Weights as files have them: sixteen bits; fp32 training casts them layer by layer.
    model = mac.model("fp16" if precision == "fp16" else "fp32")
    with torch.inference_mode(False):
        denoiser = ComfyDenoiser(model, precision)
        denoiser.settle()
        family = family_of(model)
        training = family.training
        variant = training.variants["base"]
        loras = folder / "loras"
        loras.mkdir(exist_ok=True)
        job = TrainJob(
            settings=settings,
            precision=precision,
            denoiser=denoiser,
            family=family,
            recipe=make_recipe(ObjectiveSettings(), denoiser.sampling, variant, training.patch),
            parts=choose_parts(
                denoiser.modules(), family, AdapterSettings(), rank=settings.rank,
                alpha=settings.effective_alpha,
            ),
            side={},
            preview=variant.preview,
            pictures=prepared(model, mac.clip()),
            run=open_run(folder / "runs", "mac", {"settings": repr(settings)}, {}, published=loras),
            sampler=None,
            progress=progress,
            loras=loras,
            loader_name=lambda path: path.name,
            base_hash="0",
        )
        try:
            return train(job)
        finally:
            denoiser.release()


@pytest.mark.parametrize("recompute", ["off", "on"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_training_asks_nothing_of_mps_that_it_lacks(
    mac: Mac, precision: str, recompute: str, tmp_path: Path, host: Any
) -> None:
    result = train_on(
        mac, precision, tmp_path, host, checkpoint_activations=recompute, warmup_steps=1
    )
    assert [entry["step"] for entry in result.metrics] == [1, 2, 3]
    assert result.probe_end != result.probe_start
    # The forward and backward passes did take place on the pretend device.
    assert {"mm", "lerp_.Scalar", "linalg_vector_norm"} <= mac.guard.seen
    assert mac.guard.refusals == []


def test_the_pretend_device_trains_what_the_cpu_trains(
    comfy: Path, tmp_path: Path, host: Any
) -> None:
    """So the guard watched the real thing, and not something that only looks like it."""
    from safetensors.torch import load_file

    family = importlib.import_module(f"lora_kiln.tests.host.{FAMILIES[0]}")
    pretend_mac = importlib.import_module("lora_kiln.tests.host.mac").pretend_mac
    found = []
    for name in ("mps", "cpu"):
        folder = tmp_path / name
        folder.mkdir()
        with pretend_mac() if name == "mps" else contextlib.nullcontext() as guard:
            result = train_on(Mac(guard, family), "fp32", folder, host)
        found.append((result, load_file(result.lora.path)))
    (pretended, ours), (plain, theirs) = found
    # Attention and AdamW are one fused kernel each on the CPU, and round differently.
    assert pretended.probe_start == pytest.approx(plain.probe_start, rel=1e-6)
    assert pretended.probe_end == pytest.approx(plain.probe_end, rel=1e-6)
    for key, value in theirs.items():
        assert float((ours[key] - value).norm()) <= 1e-3 * float(value.norm()), key


def test_a_run_on_mps_is_continued(mac: Mac, tmp_path: Path, host: Any) -> None:
    """Optimizer state and loss scale go to the host and come back."""
    from lora_kiln.trainer.step import StepRunner

    plain = StepRunner.losses

    def broken(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        if step == 2:
            raise KeyError("the kiln cracked")
        return plain(self, samples, step, total)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StepRunner, "losses", broken)
        with pytest.raises(KeyError):
            train_on(mac, "fp16", tmp_path, host)
    result = train_on(mac, "fp16", tmp_path, host)
    assert result.trained_steps == 1
    assert any("Going on from step 2" in line for line in host.said)


@pytest.mark.parametrize(
    ("chip", "wanted"),
    [("Apple M1 Max", "fp16"), ("Apple M2", "fp16"), ("Apple M3", "bf16"), ("Apple M4 Pro", "bf16"),
     ("", "bf16")],
)
def test_the_automatic_precision_of_a_mac(
    mac: Mac, chip: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.host import capabilities

    monkeypatch.setattr(capabilities, "_chip", lambda: chip)
    assert capabilities.auto_precision(mac.model().load_device) == wanted


@pytest.fixture
def sample(mac: Mac) -> Callable[..., torch.Tensor]:
    """Sample with ComfyUI's own code; the prompts are encoded once."""
    import comfy.sample

    from lora_kiln.host.text import encode_prompt

    clip = mac.clip()
    with torch.inference_mode():
        prompts = encode_prompt(clip, "a (red:1.2) star"), encode_prompt(clip, "blue")

    def run(model: Any, sampler: str, scheduler: str = "normal") -> torch.Tensor:
        channels = model.get_model_object("latent_format").latent_channels
        empty = torch.zeros(1, channels, 8, 8)
        with torch.inference_mode():
            latent: torch.Tensor = comfy.sample.sample(
                model, comfy.sample.prepare_noise(empty, 1), 3, 3.0, sampler, scheduler,
                *prompts, empty, disable_pbar=True, seed=1,
            )
        assert latent.device.type == "cpu"
        assert bool(latent.isfinite().all())
        return latent

    return run


@pytest.mark.parametrize("precision", PRECISIONS)
def test_sampling_in_every_precision(
    mac: Mac, sample: Callable[..., torch.Tensor], precision: str
) -> None:
    sample(mac.model(precision), "euler")
    assert {"convolution", "mm", "addmm", "linear"} & mac.guard.seen


@pytest.mark.parametrize("sampler", COMMON_SAMPLERS)
def test_common_samplers(mac: Mac, sample: Callable[..., torch.Tensor], sampler: str) -> None:
    sample(mac.model(), sampler)


@pytest.mark.slow
def test_every_stock_sampler_and_scheduler(mac: Mac, sample: Callable[..., torch.Tensor]) -> None:
    """The two tables above are true, whatever else ComfyUI brings."""
    from comfy.samplers import KSampler

    model = mac.model()
    kinds = (("sampler", KSampler.SAMPLERS, SAMPLERS_REFUSED),
             ("scheduler", KSampler.SCHEDULERS, SCHEDULERS_REFUSED))
    for argument, names, known in kinds:
        refused = {}
        for name in names:
            try:
                sample(model, **{"sampler": "euler", argument: name})
            except MpsRefusal as error:
                refused[name] = str(error)
        mac.guard.refusals.clear()
        assert refused.keys() == known.keys(), refused
        assert all(text in refused[name] for name, text in known.items())


@pytest.mark.slow
@pytest.mark.usefixtures("comfy")
def test_a_whole_run_with_previews(
    pictures: Any, small_training: Any, host: Any
) -> None:
    """Text encoders, VAE, training, previews and the finished LoRA, as the node does it."""
    demo_model = importlib.import_module("lora_kiln.host.demo_model")
    pretend_mac = importlib.import_module("lora_kiln.tests.host.mac").pretend_mac
    with pretend_mac(), torch.inference_mode():
        from lora_kiln.host.training import TrainRequest, train_in_comfy

        model, clip, vae = demo_model.load_demo_model()
        assert vae.device.type == "mps"
        assert clip.patcher.load_device.type == "cpu"
        settings = replace(small_training, steps=1, preview_every=1, preview_steps=2)
        outcome = train_in_comfy(
            TrainRequest(model=model, clip=clip, vae=vae, dataset=pictures, settings=settings),
            host,
        )
        assert outcome.result.trained_steps == 1
        assert len(list(outcome.run.samples.rglob("*.png"))) > 0
