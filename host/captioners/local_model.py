"""Models from models/LLM by transformers' own classes: local files, no code of theirs, no network.

ComfyUI makes room for the model and may move it away again; afterwards its memory is free.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from PIL import Image
from torch import nn

from ...core.errors import HostError, shorten
from ...core.protocols import Progress
from ...dataset.describe.describer import Ask, Describer, Reply
from .backend import Given
from .model_folder import PREFIX, ModelFolder, find_folder, list_folders, transformers_module
from .wording import wording_of

_ROOM = 1.2
"""Memory that a model needs on its device, as a multiple of its weights."""
_WORKING_BYTES = 2**30
OUT_OF_MEMORY: type[Exception] = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)


class _Holder(nn.Module):
    """ComfyUI notes its device on the module that it moves; transformers' models forbid that."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model


class LocalDescriber:
    """Fulfils ``Describer`` for a folder.

    Args:
        folder: the model, not loaded yet.
        progress: hears Cancel after every token.
    """

    reusable = True

    def __init__(self, folder: ModelFolder, progress: Progress) -> None:
        self._folder, self._progress = folder, progress
        self._wording = wording_of(folder.model_type)
        self._patcher: Any = None
        self._processor: Any = None
        self._dtype = torch.float32
        self.name = folder.name

    @cached_property
    def identity(self) -> str:
        """Hash of the folder's files."""
        self._progress.say(f"Reading {self.name}")
        return self._folder.identity()

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        """As the model's kind wants it."""
        return self._wording.worded(prompt, answers)

    def describe(self, image: Image.Image, ask: Ask) -> Reply:
        """Answer about a picture.

        Raises:
            HostError: the model cannot be loaded, or there is too little memory.
        """
        self._progress.check_cancelled()
        if self._patcher is None:
            self._load()
        try:
            comfy.model_management.load_models_gpu(
                [self._patcher], memory_required=_WORKING_BYTES, force_full_load=True
            )
            return self._generate(image, ask)
        except OUT_OF_MEMORY as error:
            raise HostError(
                f"There is not enough memory on the device for {self.name}",
                expected=f"about {self._folder.size_bytes() * _ROOM / 2**30:.1f} GiB, and more for "
                "large pictures",
                remedy="Lower longest_side_px or max_tokens, or take a smaller model",
            ) from error

    def close(self) -> None:
        """Let the model go: ComfyUI drops it from its list as soon as nothing holds it."""
        if self._patcher is not None:
            self._patcher = self._processor = None
            gc.collect()
            comfy.model_management.soft_empty_cache()

    def _load(self) -> None:
        """Read processor and weights.

        Raises:
            HostError: the files do not fit transformers' own classes.
        """
        transformers, path = transformers_module(), str(self._folder.path)
        self._progress.say(f"Loading {self.name}")
        device = _device_for(self._folder, self._progress)
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            # Weights as ordinary tensors, whatever mode the node runs in.
            with torch.inference_mode(False), torch.no_grad():
                config = transformers.AutoConfig.from_pretrained(path, **local)
                self._dtype = _dtype_for(config, device)
                self._processor = transformers.AutoProcessor.from_pretrained(path, **local)
                model, report = transformers.AutoModelForImageTextToText.from_pretrained(
                    path, use_safetensors=True, output_loading_info=True, **local,
                    **{_dtype_word(transformers): self._dtype},
                )
        except (OSError, ValueError, ImportError, RuntimeError, KeyError, TypeError) as error:
            raise _unloadable(self.name, str(error)) from error
        _require_all_weights(self.name, report)
        self._patcher = comfy.model_patcher.ModelPatcher(
            _Holder(model.eval().requires_grad_(False)),
            load_device=device,
            offload_device=comfy.model_management.text_encoder_offload_device(),
        )

    def _generate(self, image: Image.Image, ask: Ask) -> Reply:
        model, device = self._patcher.model.inner, self._patcher.load_device
        inputs = self._wording.inputs(self._processor, image, ask.text)
        inputs = inputs.to(device, dtype=self._dtype)
        drawn = ask.temperature > 0
        # None, not left out: greedy, whatever the model's own generation_config says.
        options: dict[str, Any] = {
            "do_sample": drawn, "num_beams": 1,
            "temperature": ask.temperature if drawn else None,
            "top_p": ask.top_p if drawn else None,
            "top_k": 0 if drawn else None,
        }
        with torch.no_grad(), _seeded(ask.seed, device):
            found = model.generate(
                **inputs, **options, max_new_tokens=ask.max_tokens,
                stopping_criteria=[_Cancel(self._progress)],
            )
        new = _without_prompt(found[0], inputs.get("input_ids"))
        text = self._processor.batch_decode(new[None], skip_special_tokens=True)[0]
        return Reply(text, finished=_ended(new, model, ask.max_tokens))


class _Cancel:
    """Asked by transformers after every token."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, input_ids: torch.Tensor, scores: Any, **options: Any) -> torch.Tensor:
        """Raises the host's interrupt, which leaves ``generate`` at once; never stops itself."""
        del scores, options
        self._progress.check_cancelled()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """transformers draws from the global generators: they are put back afterwards."""
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(seed)
        yield


def _without_prompt(ids: torch.Tensor, prompt: torch.Tensor | None) -> torch.Tensor:
    """New tokens: some models repeat the prompt in front of them, some do not."""
    if prompt is None or len(ids) < prompt.shape[1]:
        return ids
    begins = bool(torch.equal(ids[: prompt.shape[1]], prompt[0]))
    return ids[prompt.shape[1] :] if begins else ids


def _ended(new: torch.Tensor, model: Any, max_tokens: int) -> bool:
    ends = getattr(model.generation_config, "eos_token_id", None)
    known = [ends] if isinstance(ends, int) else list(ends or [])
    return len(new) < max_tokens or (len(new) > 0 and int(new[-1]) in known)


def _device_for(folder: ModelFolder, progress: Progress) -> torch.device:
    """ComfyUI's device for text encoders; the CPU where the model can never fit there."""
    device: torch.device = comfy.model_management.text_encoder_device()
    total = comfy.model_management.get_total_memory(device)
    if device.type == "cpu" or folder.size_bytes() * _ROOM + _WORKING_BYTES <= total:
        return device
    progress.say(
        f"{folder.name} needs about {folder.size_bytes() * _ROOM / 2**30:.0f} GiB and does not "
        "fit on the device: it runs on the CPU, slowly"
    )
    return torch.device("cpu")


def _dtype_for(config: Any, device: torch.device) -> torch.dtype:
    """The precision that the model was published in, where the device computes in it, else fp32.

    Not fp16 for a model of bf16: its values overflow there (Gemma 3).
    """
    management = comfy.model_management
    published = _published_dtype(config) or _published_dtype(getattr(config, "text_config", None))
    if published == torch.bfloat16 and management.should_use_bf16(device):
        return torch.bfloat16
    if published == torch.float16 and management.should_use_fp16(device):
        return torch.float16
    return torch.float32


def _published_dtype(config: Any) -> torch.dtype | None:
    """What a configuration names, as a dtype or as its word; None where it names none."""
    named = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None)
    found = getattr(torch, named, None) if isinstance(named, str) else named
    return found if isinstance(found, torch.dtype) else None


def _dtype_word(transformers: Any) -> str:
    """What ``from_pretrained`` calls the precision, which changed with version 5."""
    return "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"


def _require_all_weights(name: str, report: Any) -> None:
    """transformers fills what a file lacks with random numbers, and only warns."""
    missing = sorted(str(key) for key in report.get("missing_keys", ()))
    wrong = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or wrong:
        raise _unloadable(
            name, f"its weights lack {shorten(missing or wrong)}, which would be random numbers"
        )


def _unloadable(name: str, why: str) -> HostError:
    return HostError(
        f"The model {name} cannot be loaded: {why}",
        expected="a folder for transformers' own classes, with all of its files",
        remedy="Download all of its files again, install what the message names, or choose "
        "another model",
    )


class _LocalModels:
    """See the module."""

    name, rank = "transformers", 10

    def model_names(self, roots: list[Path]) -> list[str]:
        """All folders with a model; whether it can be loaded is looked at when it is chosen."""
        return list_folders(roots)

    def owns(self, name: str) -> bool:
        """Names of folders below models/LLM."""
        return name.startswith(PREFIX)

    def check(self, name: str, roots: list[Path]) -> None:
        """Look at the folder's JSON and file names."""
        find_folder(name, roots)

    def files(self, name: str, roots: list[Path]) -> list[Path]:
        """Those of the folder."""
        return find_folder(name, roots).files()

    @contextmanager
    def open(self, name: str, given: Given) -> Iterator[Describer]:
        """The model, loaded with the first picture."""
        describer = LocalDescriber(find_folder(name, given.roots), given.progress)
        try:
            yield describer
        finally:
            describer.close()


CAPTIONER = _LocalModels()
