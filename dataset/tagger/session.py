"""A tagger as onnxruntime runs it.

Preprocessing as the publisher of the WD taggers does it: the picture in the middle of a white
square, resized bicubically to the model's size, blue before red, values 0 to 255.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.errors import HostError, MissingLibrary

PREPROCESS_VERSION = 1
"""Part of every cache key; raise it when the pixels that go into the model change."""
AUTO, CPU, CUDA, COREML = "auto", "CPU", "CUDA", "CoreML"
PROVIDERS = (AUTO, CPU, CUDA, COREML)
_FULL_NAMES = {
    CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider", COREML: "CoreMLExecutionProvider"
}
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_USUAL_PX = 448
_WHITE = (255, 255, 255)


def runtime() -> Any:
    """The module onnxruntime.

    Raises:
        MissingLibrary: it is not installed.
        HostError: it is, and cannot be loaded.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        if importlib.util.find_spec("onnxruntime") is None:
            raise MissingLibrary("onnxruntime", "taggers are ONNX models") from error
        raise HostError(
            f"The Python library onnxruntime is installed and does not load: {error}",
            expected="a version that fits this Python and this system",
            remedy="Install it anew into the Python that runs ComfyUI: pip install "
            "--force-reinstall onnxruntime",
        ) from error


def choose_provider(wanted: str) -> str:
    """What the model runs on: CPU, CUDA or CoreML.

    ``auto`` takes CUDA where onnxruntime has it, else the CPU; CoreML only when it is asked for,
    since it computes in half precision.

    Raises:
        HostError: the installed onnxruntime does not have it.
    """
    available = runtime().get_available_providers()
    if wanted == AUTO:
        return CUDA if _FULL_NAMES[CUDA] in available else CPU
    if _FULL_NAMES.get(wanted) in available:
        return wanted
    package = "onnxruntime-gpu" if wanted == CUDA else "onnxruntime"
    raise HostError(
        f"The provider is {wanted}, and the installed onnxruntime has {', '.join(available)}",
        expected="one that it has",
        remedy=f"Choose auto, or install one that has it: pip install {package}",
    )


class TaggerSession:
    """A loaded tagger.

    Args:
        path: the ONNX file.
        provider: CPU, CUDA or CoreML, see :func:`choose_provider`.

    Raises:
        HostError: the file is no such model, or the provider did not start.
    """

    def __init__(self, path: Path, provider: str) -> None:
        ort = runtime()
        if hasattr(ort, "disable_telemetry_events"):
            ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        names = [_FULL_NAMES[provider], *([] if provider == CPU else [_FULL_NAMES[CPU]])]
        try:
            self._session = ort.InferenceSession(str(path), options, providers=names)
        # onnxruntime's own exceptions have no common base but Exception.
        except Exception as error:
            raise _unusable(path, f"cannot be loaded: {error}") from error
        if _FULL_NAMES[provider] not in self._session.get_providers():
            # It falls back to the CPU by itself, and says so only in a log.
            raise HostError(
                f"{provider} did not start in onnxruntime",
                expected=f"a system that fits this onnxruntime ({ort.__version__})",
                remedy="Choose CPU as the provider, or install the version of onnxruntime-gpu "
                "that belongs to your CUDA",
            )
        self._path = path
        self._input = self._session.get_inputs()[0]
        self._read_shape()

    def _read_shape(self) -> None:
        shape = list(self._input.shape)
        if self._input.type not in _FLOATS or len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise _unusable(self._path, f"takes {self._input.type} of shape {shape}")
        self._channels_first = shape[3] != 3
        size = shape[2]
        self.size_px = size if isinstance(size, int) and size > 0 else _USUAL_PX
        self._fixed_batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None

    def probabilities(self, images: Sequence[Image.Image], count: int) -> np.ndarray:
        """(N, count) float32 in 0..1 for N pictures of mode RGB.

        Raises:
            HostError: what comes out is not one probability for each of ``count`` tags.
        """
        pixels = np.stack([prepare(image, self.size_px) for image in images])
        if self._channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        step = self._fixed_batch or len(pixels)
        found = np.concatenate(
            [self._run(pixels[start : start + step]) for start in range(0, len(pixels), step)]
        )
        if found.ndim != 2 or found.shape[1] != count:
            raise _unusable(
                self._path,
                f"gives {found.shape[1:]} values for a picture, and its tag list has {count} tags",
            )
        if not bool(np.isfinite(found).all()) or found.min() < -1e-3 or found.max() > 1 + 1e-3:
            raise _unusable(self._path, "gives values that are no probabilities from 0 to 1")
        return np.clip(found, 0.0, 1.0)

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        count = len(pixels)
        if self._fixed_batch is not None and count < self._fixed_batch:
            pixels = np.concatenate([pixels, *[pixels[-1:]] * (self._fixed_batch - count)])
        kind = _FLOATS[self._input.type]
        fed = {self._input.name: np.ascontiguousarray(pixels, dtype=kind)}
        output = self._session.get_outputs()[0].name
        try:
            found = self._session.run([output], fed)[0]
        except Exception as error:
            raise HostError(
                f"The tagger {self._path} stopped: {error}",
                expected="tags of a picture",
                remedy="Choose a smaller batch_size, or CPU as the provider",
            ) from error
        return np.asarray(found, dtype=np.float32)[:count]


def prepare(image: Image.Image, size_px: int) -> np.ndarray:
    """(size, size, 3) float32, blue, green, red from 0 to 255, of an RGB picture."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), _WHITE)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    if side != size_px:
        square = square.resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.float32)[:, :, ::-1]


def _unusable(path: Path, what: str) -> HostError:
    return HostError(
        f"The tagger {path} {what}",
        expected="a WD tagger: pictures of 3 channels in, one probability for each tag of its "
        "selected_tags.csv out",
        remedy="Download model.onnx and selected_tags.csv again, both from the same place",
    )
